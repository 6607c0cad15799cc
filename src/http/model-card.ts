import type { ServedModel } from '../catalog/served-model.ts';
import { modelVariant } from '../observability/model-variant.ts';
import { maxModelLength } from './find-model.ts';
import type { Model } from './schemas/model.ts';

/** A model as /v1/models shows it. */
export function modelCard(model: ServedModel): Model {
  return {
    id: model.name,
    object: 'model',
    created: model.created,
    owned_by: 'altup-serve',
    root: model.id,
    parent: null,
    max_model_len: maxModelLength(model),
    max_completion_tokens: model.state.state === 'ready' ? model.state.capacity : null,
    state: model.state.state,
    precision: model.precision,
    variant: model.manifest ? modelVariant(model.manifest) : null,
    has_chat_template: model.texts ? model.texts.render !== null : null,
  };
}
