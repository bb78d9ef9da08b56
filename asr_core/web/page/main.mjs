// Puts the page together.

import { Access } from "./access.mjs";
import { Dictation } from "./dictation.mjs";
import { $, all } from "./dom.mjs";
import { Keywords } from "./keywords.mjs";
import { firstLanguage, loadStrings, rememberLanguage, translator } from "./language.mjs";
import { Memory } from "./memory.mjs";
import { Player } from "./player.mjs";
import { Question } from "./question.mjs";
import { Saving } from "./saving.mjs";
import { Server } from "./server.mjs";
import { isFree, loss, newState } from "./state.mjs";
import { Speakers } from "./speakers.mjs";
import { Strip } from "./strip.mjs";
import { Transcript } from "./transcript.mjs";
import { View } from "./view.mjs";
import { Work } from "./work.mjs";

const strings = await loadStrings();
const lasting = new Memory(() => localStorage);
const state = newState(firstLanguage(strings, lasting, navigator.language));
const t = translator(strings, state);
const server = new Server(new Memory(() => sessionStorage), new Keywords(lasting));
const strip = new Strip($("strip"));
const speakers = new Speakers(() => (state.isTextSaved = false)); // what was saved has the names from before
const transcript = new Transcript($("text"), t, speakers, (index) => player.playFrom(state.words[index].start));
const player = new Player({ state, t, strip, transcript, onChange: () => view.render() });
const view = new View({ state, t, server, player, transcript });
const question = new Question({ state, view });
const work = new Work({ state, view, server, player, strip, transcript, speakers, question, onProblem: () => access.watch() });
const access = new Access({ state, view, server, work });
new Dictation({ state, t, view, server, work });
new Saving({ state, view, speakers });

$("choose").onclick = () => $("file").click();
$("file").onchange = () => {
  const [chosen] = $("file").files;
  if (chosen) work.start(chosen);
  $("file").value = ""; // the same file may be chosen again
};

for (const button of all("[data-language]")) {
  button.onclick = () => {
    state.language = button.dataset.language;
    rememberLanguage(state.language, lasting);
    view.render();
  };
}

// A file dropped anywhere is meant for us: left to itself, the browser would leave the page to show it.
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = isFree(state) ? "copy" : "none";
  document.body.classList.toggle("dragging", isFree(state));
});
addEventListener("dragleave", (event) => event.relatedTarget ?? document.body.classList.remove("dragging"));
addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  document.body.classList.remove("dragging");
  const [first, ...others] = event.dataTransfer.files;
  if (first) work.start(first, { others: others.length });
});

addEventListener("beforeunload", (event) => {
  if (!isFree(state) || loss(state)) event.preventDefault();
});

view.render();
access.watch();
access.checkKey();
