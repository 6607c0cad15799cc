/** The npm package, which the service delivers next to the page's own scripts. */
export { lexer, type MarkedToken, type Token, type Tokens } from 'marked';
