/** The settings of the page at `/`, as its fields hold them; empty unless given. */
export const pageSettings = (typed: Partial<ReturnType<typeof empty>> = {}) => ({ ...empty(), ...typed });

const empty = () => ({
  max_tokens: '',
  temperature: '',
  top_p: '',
  top_k: '',
  min_p: '',
  seed: '',
  repetition_penalty: '',
  stop: '',
  schema: '',
  system: '',
});
