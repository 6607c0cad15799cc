import { type Case, cases, open } from './cases.ts';

// Opens the bf16 cases on a device without bfloat16. Prints a line of JSON for each.

export interface Refusal extends Case {
  message: string;
}

for (const each of cases.filter(({ precision }) => precision === 'bf16')) {
  const message = await open(each).then(
    () => 'it was opened',
    (error: Error) => error.message,
  );
  const refusal: Refusal = { ...each, message };
  console.log(JSON.stringify(refusal));
}
