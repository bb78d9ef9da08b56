// The page's own words.

const LANGUAGE = "gigaam-asr-language";

/** Language → key → text with {gaps}, from the file beside this one. */
export async function loadStrings() {
  const response = await fetch(new URL("strings.json", import.meta.url));
  return response.json();
}

/** The one that was chosen here before, else the browser's, if `strings` have it; else English. */
export function firstLanguage(strings, memory, browsers) {
  const wanted = memory.get(LANGUAGE) ?? browsers.split("-")[0];
  return Object.hasOwn(strings, wanted) ? wanted : "en";
}

export function rememberLanguage(language, memory) {
  memory.set(LANGUAGE, language);
}

/** `t(key, values)`: a text in the language of `state`, with `values` put into its gaps. */
export function translator(strings, state) {
  return (key, values = {}) => strings[state.language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
