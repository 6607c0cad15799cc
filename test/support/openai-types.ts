import { readFileSync } from 'node:fs';

const resources = new URL('../../node_modules/openai/resources/', import.meta.url);

/** The types of one file of OpenAI's client, which OpenAI generates from its own description of the API. */
export class OpenAITypes {
  readonly #source: string;
  /** The members of each interface with their types, by the interface's name with its namespaces. */
  readonly #interfaces = new Map<string, Map<string, string>>();

  /** @param file its path among the resources, without the extension */
  constructor(file: string) {
    this.#source = readFileSync(new URL(`${file}.d.ts`, resources), 'utf8').replace(/\/\*.*?\*\//gs, '');
    const places: string[] = [];
    for (const line of this.#source.split('\n')) {
      const depth = line.search(/\S/) / 4;
      const [, name] =
        /^ *(?:export )?(?:declare )?(?:namespace|interface|class|type) (\w+)/.exec(line) ?? [];
      const [, member, type] = /^ +(\w+)\??: (.*)$/.exec(line) ?? [];
      if (name) {
        places.splice(depth, places.length, name);
        // A namespace has the name of its interface.
        const place = places.join('.');
        if (!this.#interfaces.has(place)) this.#interfaces.set(place, new Map());
      } else if (member) this.#interfaces.get(places.slice(0, depth).join('.'))?.set(member, type!);
    }
  }

  /** The names of an interface's members. */
  members(name: string): string[] {
    const members = this.#interfaces.get(name);
    if (!members?.size) throw new Error(`OpenAI's client has no interface ${name}`);
    return [...members.keys()];
  }

  /** The texts that a member may have, such as those of `type`, in each interface of a union, and the union's own. */
  texts(union: string, member = 'type'): string[] {
    const [, written] = new RegExp(`type ${union} = (.*);`).exec(this.#source) ?? [];
    if (!written) throw new Error(`OpenAI's client has no union ${union}`);
    const own = written.split(' | ').map((part) => {
      const type = this.#interfaces.get(part)?.get(member);
      if (!type && !part.startsWith("'")) throw new Error(`${part} in ${union} has no \`${member}\``);
      return type ?? part;
    });
    return [...new Set(own.flatMap((type) => [...type.matchAll(/'([^']+)'/g)].map(([, text]) => text!)))];
  }
}
