/** One JSON object a line, as the adapter protocol has it: hello, then requests with ids. Knows no transport. */

/** What an op throws for a thing that the SDK or codec refuses. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    text: string,
  ) {
    super(text);
  }
}

export type Args = { readonly [name: string]: unknown };
/** What an adapter can do, each by the name of its op. */
export type Ops = { readonly [op: string]: (args: Args) => unknown };
type Message = { hello?: unknown; id?: number; op?: string } & Args;

/** Answers one line; `say` gets what is to be written. */
export async function answer(line: string, about: object, ops: Ops, say: (message: object) => void): Promise<void> {
  const { hello, id, op, ...args } = JSON.parse(line) as Message;
  if (hello !== undefined) {
    say({ hello: { protocol: 1, ...about, ops: Object.keys(ops) } });
    return;
  }
  const run = Object.hasOwn(ops, op ?? "") ? ops[op ?? ""] : undefined;
  if (run === undefined) {
    say({ id, unsupported: true });
    return;
  }
  try {
    say({ id, ok: (await run(args)) ?? {} });
  } catch (error) {
    const code =
      error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "INVALID_ARGUMENT";
    say({ id, err: { code, text: error instanceof Error ? error.message : String(error) } });
  }
}
