import { $, keepFocus } from "./dom.mjs";
import { isKeyAsked, judgeKey } from "./state.mjs";

const EVERY_MS = 3000;

/** Whether the server can be used: is it there, does it take recordings, does it want a key? */
export class Access {
  constructor({ state, view, server, work }) {
    Object.assign(this, { state, view, server, work });
    $("key").onsubmit = (event) => this.#enter(event);
    $("forget").onclick = () => this.#forget();
  }

  /** Look at the server until it takes recordings. */
  async watch() {
    clearTimeout(this.timer);
    const wasAway = this.state.server === undefined;
    try {
      this.state.server = await this.server.ask("health");
    } catch {
      this.state.server = undefined;
    }
    this.view.renderServer();
    clearTimeout(this.timer); // of another call, while this one waited for its answer
    if (this.state.server?.status !== "ok") this.timer = setTimeout(() => this.watch(), EVERY_MS);
    if (wasAway && this.state.server) await this.checkKey();
  }

  /** Does the server take the key that there is, or ask for one? */
  async checkKey() {
    const status = await this.server.ask("v1/models").then(
      () => 200,
      (problem) => problem.status,
    );
    judgeKey(this.state, status, this.server.hasKey);
    this.view.render();
  }

  async #enter(event) {
    event.preventDefault();
    this.server.useKey($("key-input").value.trim());
    await this.checkKey();
    if (isKeyAsked(this.state)) return $("key-input").select();
    $("key-input").value = "";
    if (this.state.problem?.status === 401) this.work.start(this.state.file);
    else keepFocus($("choose"));
  }

  async #forget() {
    this.server.forgetKey();
    await this.checkKey();
    keepFocus($("key-input"));
  }
}
