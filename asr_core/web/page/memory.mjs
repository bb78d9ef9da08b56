/**
 * Texts by their names: kept in a web storage as far as the browser allows it (private windows, a strict policy, a full
 * disk), and here in any case, until the page is left.
 */
export class Memory {
  #own = new Map();

  /** `storage()` gives the web storage; even to look at it may throw. */
  constructor(storage) {
    this.storage = storage;
  }

  /** Null for what is not known. */
  get(name) {
    if (this.#own.has(name)) return this.#own.get(name);
    return this.#attempt((storage) => storage.getItem(name));
  }

  set(name, text) {
    this.#own.set(name, text);
    this.#attempt((storage) => storage.setItem(name, text));
  }

  forget(name) {
    this.#own.set(name, null);
    this.#attempt((storage) => storage.removeItem(name));
  }

  #attempt(use) {
    try {
      return use(this.storage()) ?? null;
    } catch {
      return null;
    }
  }
}
