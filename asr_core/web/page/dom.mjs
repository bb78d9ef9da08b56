// Everything from the server is shown through textContent: neither a file's name nor a transcript can become markup.

export const $ = (id) => document.getElementById(id);
export const all = (selector) => document.querySelectorAll(selector);

/** Give `node` this text; if it has it already, nobody is told of it again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Is all of its height on the screen? */
export function isInView(element) {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}

/** Go to `element`, if what had the focus has vanished. */
export function keepFocus(element) {
  const active = document.activeElement;
  if (active === document.body || !active.checkVisibility()) element.focus();
}
