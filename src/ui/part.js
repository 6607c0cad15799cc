/**
 * The element with this name in the markup.
 *
 * @template {HTMLElement} T
 * @param {ParentNode} root
 * @param {string} name value of its `data-part`
 * @param {new () => T} type
 * @returns {T}
 */
export function part(root, name, type) {
  const element = root.querySelector(`[data-part="${name}"]`);
  if (element instanceof type) return element;
  throw new Error(`the page has no ${type.name} named ${name}`);
}

/**
 * A copy of a template's content.
 *
 * @param {string} name value of the template's `data-part`
 * @returns {HTMLElement}
 */
export function copyOf(name) {
  /** @type {HTMLTemplateElement | null} */
  const template = document.querySelector(`template[data-part="${name}"]`);
  if (!template) throw new Error(`the page has no template named ${name}`);
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}
