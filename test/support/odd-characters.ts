/**
 * Every character that some layer between a handler and its client is known to lose, escape or interpret: controls,
 * formats, separators, noncharacters, the last of each plane, and those special to JSON, regexes or objects.
 */
export const oddCharacters: readonly string[] = [
  ...Array.from({ length: 0x110000 }, (_, code) => code)
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code))
    .filter((character) => /[\p{Cc}\p{Cf}\p{Z}\p{Noncharacter_Code_Point}]/u.test(character)),
  ...['"', '\\', '/', '<', '$', '\ufffd', '\u0301', '\u{1f600}', '\ue000', '\u{f0000}'],
  ...[
    '\r\n',
    'a\nb',
    '$&',
    '\\u0000',
    '</script>',
    '__proto__',
    'constructor',
    'toString',
    '0',
    '-1',
    'null',
  ],
];
