import { $, all } from "./dom.mjs";
import { fraction, heardS, isBusy } from "./state.mjs";
import { clock } from "./times.mjs";

/** Shows `state`; all of it by `render`, what changes many times a second by `renderProgress`. */
export class View {
  constructor({ state, t, server, player, transcript }) {
    Object.assign(this, { state, t, server, player, transcript });
  }

  render() {
    const { state, t } = this;
    document.documentElement.lang = state.language;
    for (const node of all("[data-text]")) node.textContent = t(node.dataset.text);
    for (const node of all("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
    for (const node of all("[data-language]")) node.setAttribute("aria-pressed", node.dataset.language === state.language);
    for (const node of all("[data-name]")) node.textContent = state.file?.name ?? "";
    this.#renderParts();
    this.#renderKey();
    this.#renderProblem();
    this.renderProgress();
    this.renderServer();
    this.player.render();
    this.transcript.rename();
  }

  #renderParts() {
    const { phase, segments, done, note } = this.state;
    const hasText = segments.length > 0;
    $("loading").hidden = true;
    $("pick").hidden = phase !== "idle" && phase !== "asking";
    $("microphone").textContent = note ? this.t(note) : "";
    $("microphone").hidden = !note;
    $("recorder").hidden = phase !== "recording";
    $("work").hidden = !isBusy(this.state);
    $("result").hidden = !hasText && !done;
    $("head").hidden = phase !== "over" || !done;
    $("tools").hidden = phase !== "over" || !hasText;
    $("hint").hidden = !hasText || !this.player.playable;
    for (const part of ["player", "text"]) $(part).hidden = !hasText;
  }

  #renderKey() {
    const { key } = this.state;
    const isAsked = key === "wanted" || key === "wrong";
    $("key").hidden = !isAsked;
    $("key-hint").textContent = this.t(key === "wrong" ? "key_wrong" : "key_hint");
    $("key-input").setAttribute("aria-invalid", key === "wrong");
    $("forget").hidden = isAsked || !this.server.hasKey;
  }

  #renderProblem() {
    const { problem, segments } = this.state;
    $("alarm").hidden = !problem;
    if (!problem) return;
    const kind = problem === "cancelled" ? "cancelled" : problem.kind;
    $("retry").hidden = ["bad_audio", "too_large", "unauthorized"].includes(kind);
    $("alarm").classList.toggle("calm", kind === "cancelled" || kind === "unauthorized");
    $("alarm-title").textContent = this.t(kind);
    $("alarm-advice").textContent = kind === "cancelled" && !segments.length ? "" : this.t(`${kind}_advice`);
    const explains = ["bad_audio", "too_large", "unknown"].includes(kind) && problem.message;
    $("alarm-detail").textContent = explains ? this.t("server_said", { message: problem.message }) : "";
  }

  renderProgress() {
    const done = fraction(this.state);
    if (done === null) $("progress").removeAttribute("value");
    else $("progress").value = done;
    $("stage").textContent = this.#stage();
    $("summary").textContent = this.state.phase === "over" && this.state.done ? this.#summary() : "";
    document.title = this.#title(done);
  }

  #stage() {
    const { phase, sent, duration } = this.state;
    const heard = heardS(this.state);
    if (phase === "sending") return this.t("sending", { percent: Math.round(100 * sent) });
    if (!heard) return this.t("waiting");
    const values = { now: clock(heard), all: clock(Math.round(duration)) };
    return this.t(Number.isFinite(duration) ? "heard_of" : "heard", values);
  }

  #title(done) {
    const { phase, file } = this.state;
    if (!file) return this.t("title");
    if (phase === "over") return `${this.state.done ? "✓ · " : ""}${file.name}`;
    return `${done === null ? "…" : `${Math.round(100 * done)}%`} · ${file.name}`;
  }

  #summary() {
    const { segments, done, tookS, language } = this.state;
    if (!segments.length) return this.t("silence");
    const number = (n) => n.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    const speed = done.duration / tookS;
    const took = tookS < 60 ? `${number(tookS)} ${this.t("seconds")}` : clock(tookS);
    const values = { duration: clock(Math.round(done.duration)), took };
    return speed >= 1.5 ? this.t("summary", { ...values, speed: number(speed) }) : this.t("summary_slow", values);
  }

  renderServer() {
    const { server } = this.state;
    const parts = server && [this.t("model", server), server.precision, server.device].filter(Boolean).join(" · ");
    $("model").textContent = !server ? (server === null ? "" : this.t("offline")) : server.loaded ? parts : this.t("model_loading");
  }

  /** Say something to those who do not see the page. */
  announce(message) {
    $("news").textContent = message;
  }
}
