/** A web storage that may be switched off, as in some private windows: then nothing is remembered. */
export function memory(name) {
  try {
    return window[name];
  } catch {
    return { getItem: () => null, setItem() {}, removeItem() {} };
  }
}
