import { $ } from "./dom.mjs";

/** Asks before something is lost that the user may still want. */
export class Question {
  constructor({ state, view }) {
    Object.assign(this, { state, view });
    this.answer = () => {};
    $("lose").onclick = () => this.answer(true);
    $("keep").onclick = () => this.answer(false);
    $("question").onclose = () => this.answer(false); // by Escape; after an answer it changes nothing
  }

  /** Resolves with whether what `lost` names, as `loss` does, may be lost. */
  async mayLose(lost) {
    this.state.question = lost;
    this.view.render();
    const isAllowed = await new Promise((resolve) => (this.answer = resolve));
    this.state.question = null;
    this.view.render();
    return isAllowed;
  }
}
