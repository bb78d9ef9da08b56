import { Problem } from "./answers.mjs";
import { $, keepFocus } from "./dom.mjs";
import { begin, fail, finish, forget, hear, heardS, isFree, loss, send } from "./state.mjs";

/** A recording on its way to becoming text. */
export class Work {
  /** `onProblem` is called when the server's state may be another than it was. */
  constructor({ state, view, server, player, strip, transcript, speakers, question, onProblem }) {
    Object.assign(this, { state, view, server, player, strip, transcript, speakers, question, onProblem });
    $("cancel").onclick = () => this.abort.abort();
    $("retry").onclick = () => this.start(state.file);
    $("dismiss").onclick = $("another").onclick = () => this.#another();
  }

  /** Have `file` transcribed, if nothing else is going on; `facts` as in `begin`. */
  start(file, facts) {
    return this.#replace(file, async () => {
      begin(this.state, file, performance.now(), facts);
      this.#empty();
      this.player.load(file);
      this.view.render();
      await this.#transcribe(file);
      this.view.render();
      keepFocus(this.#next());
    });
  }

  /** Do `go`, which puts `file` in the place of this recording, at once unless the user has to be asked. */
  async #replace(file, go) {
    if (!isFree(this.state)) return;
    const lost = loss(this.state, file);
    if (!lost || (await this.question.mayLose(lost))) await go();
  }

  async #transcribe(file) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    const events = { onSent: (sent) => this.#onSent(sent), onSegments: (segments) => this.#onSegments(segments) };
    try {
      await this.server.ask("v1/models", signal); // a wrong key is better known before hours of sound are sent
      finish(this.state, await this.server.transcribe(file, fieldsAskedFor(), events, signal), performance.now());
      this.strip.extend(this.state.duration);
    } catch (error) {
      fail(this.state, signal.aborted ? new Problem(0, { code: "cancelled" }) : asProblem(error), this.server.hasKey);
      this.onProblem();
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
    hear(state, segments, this.speakers);
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
    return this.#replace(null, () => {
      forget(this.state);
      this.#empty();
      this.view.render();
      keepFocus($("choose"));
    });
  }

  /** Nothing of a recording before this one stays on the page. */
  #empty() {
    this.transcript.clear();
    this.speakers.clear();
    this.strip.clear(this.state.words);
    this.player.unload();
  }
}

/** What the page's switch asks for. */
function fieldsAskedFor() {
  return $("who").checked ? { channels: "auto", speakers: "auto" } : {};
}

function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem(500);
}
