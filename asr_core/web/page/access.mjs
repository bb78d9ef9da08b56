import { $, keepFocus } from "./dom.mjs";

const EVERY_MS = 3000;

/** Whether the server can be used: is it there, is its model loaded, does it want a key? */
export class Access {
  constructor({ state, view, server, work }) {
    Object.assign(this, { state, view, server, work });
    $("key").onsubmit = (event) => this.#enter(event);
    $("forget").onclick = () => this.#forget();
  }

  /** Look at the server until its model is loaded. */
  async watch() {
    try {
      this.state.server = await this.server.ask("health");
    } catch {
      this.state.server = undefined;
    }
    this.view.renderServer();
    if (!this.state.server?.loaded) setTimeout(() => this.watch(), EVERY_MS);
  }

  async checkKey() {
    const { server, state } = this;
    try {
      await server.ask("v1/models");
      state.key = server.hasKey ? "accepted" : "unneeded";
    } catch (error) {
      if (error.status === 401) state.key = server.hasKey ? "wrong" : "wanted";
    }
    this.view.render();
  }

  async #enter(event) {
    event.preventDefault();
    this.server.useKey($("key-input").value.trim());
    await this.checkKey();
    if (this.state.key === "wrong") return $("key-input").select();
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
