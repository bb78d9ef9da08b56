import { Problem } from "./answers.mjs";
import { $, keepFocus } from "./dom.mjs";
import { begin, fail, finish, forget, hear, heardS, isFree, send } from "./state.mjs";

/** A recording on its way to becoming text. */
export class Work {
  constructor({ state, t, view, server, player, strip, transcript }) {
    Object.assign(this, { state, t, view, server, player, strip, transcript });
    $("cancel").onclick = () => this.abort.abort();
    $("retry").onclick = () => this.start(state.file);
    $("dismiss").onclick = $("another").onclick = () => this.#another();
  }

  /** Have `file` transcribed, if nothing else is going on. */
  async start(file) {
    const { state, t, view } = this;
    if (!isFree(state)) return;
    begin(state, file, performance.now());
    this.#empty();
    this.player.load(file);
    view.render();
    view.announce(t("sending", { percent: 0 }));
    await this.#transcribe(file);
    view.render();
    if (state.done) view.announce(t(state.segments.length ? "done" : "silence"));
    keepFocus(this.#next());
  }

  async #transcribe(file) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    const events = { onSent: (sent) => this.#onSent(sent), onSegments: (segments) => this.#onSegments(segments) };
    try {
      await this.server.ask("v1/models", signal); // a wrong key is better known before hours of sound are sent
      finish(this.state, await this.server.transcribe(file, events, signal), performance.now());
      this.strip.extend(this.state.duration);
    } catch (error) {
      fail(this.state, signal.aborted ? "cancelled" : asProblem(error), this.server.hasKey);
    }
  }

  #onSent(sent) {
    send(this.state, sent, performance.now());
    this.view.renderProgress();
  }

  #onSegments(segments) {
    const { state } = this;
    const isFirst = state.segments.length === 0;
    const isAtEnd = innerHeight + scrollY > document.body.scrollHeight - 80;
    let index = state.words.length;
    for (const segment of segments) {
      this.transcript.add(segment, index);
      index += segment.words.length;
    }
    hear(state, segments);
    if (isFirst) this.view.render();
    else this.view.renderProgress();
    if (Number.isFinite(state.duration)) this.strip.draw();
    else this.strip.extend(heardS(state));
    if (isAtEnd && !isFirst) scrollTo({ top: document.body.scrollHeight });
  }

  /** What the user is most likely to want when it is over. */
  #next() {
    const { problem } = this.state;
    if (!problem) return $("result-name");
    if (problem.status === 401) return $("key-input");
    return $("retry").hidden ? $("dismiss") : $("retry");
  }

  #another() {
    forget(this.state);
    this.#empty();
    this.view.render();
    keepFocus($("choose"));
  }

  /** Nothing of a recording before this one stays on the page. */
  #empty() {
    this.transcript.clear();
    this.strip.clear(this.state.words);
    this.player.unload();
  }
}

function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem(500);
}
