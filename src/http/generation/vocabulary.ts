import { invalidRequest } from '../invalid-request.ts';

/** @throws ServiceError `invalid_request` naming the first id that the model has no token for */
export function checkTokenIds(param: string, ids: readonly number[], vocabSize: number): void {
  const outside = ids.find((id) => id >= vocabSize);
  if (outside !== undefined) {
    throw invalidRequest(
      param,
      `\`${param}\` has the token id ${outside}, outside the vocabulary of ids from 0 to ${vocabSize - 1}.`,
    );
  }
}
