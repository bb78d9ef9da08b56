import { $, all, write } from "./dom.mjs";
import { fraction, heardS, isBusy, isKeyAsked } from "./state.mjs";
import { clock } from "./times.mjs";

/** Shows `state`; all of it by `render`, what changes many times a second by `renderProgress`. */
export class View {
  constructor({ state, t, server, player, transcript }) {
    Object.assign(this, { state, t, server, player, transcript });
  }

  render() {
    const { state, t } = this;
    document.documentElement.lang = state.language;
    for (const node of all("[data-text]")) write(node, t(node.dataset.text));
    for (const node of all("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
    for (const node of all("[data-language]")) node.setAttribute("aria-pressed", node.dataset.language === state.language);
    for (const node of all("[data-name]")) write(node, state.file?.name ?? "");
    for (const node of all("[data-sound]")) node.hidden = !state.isRecorded;
    this.#renderParts();
    this.#renderKey();
    this.#renderProblem();
    this.#renderWarnings();
    this.#renderQuestion();
    write($("copy"), t(state.copied ?? "copy"));
    this.renderProgress();
    this.renderServer();
    this.player.render();
    this.transcript.rename();
  }

  #renderParts() {
    const { phase, segments, done, note, others } = this.state;
    const hasText = segments.length > 0;
    $("loading").hidden = true;
    $("pick").hidden = phase !== "idle" && phase !== "asking";
    write($("microphone"), note ? this.t(note) : "");
    $("microphone").hidden = !note;
    this.#renderRecorder();
    $("others").hidden = !others;
    $("work").hidden = !isBusy(this.state);
    $("result").hidden = !hasText && !done;
    $("head").hidden = phase !== "over" || !done;
    $("tools").hidden = phase !== "over" || !hasText;
    $("hint").hidden = !hasText || !this.player.playable;
    for (const part of ["player", "text"]) $(part).hidden = !hasText;
  }

  #renderRecorder() {
    const { phase, isMicrophoneLost } = this.state;
    $("recorder").hidden = phase !== "recording";
    write($("recorder-title"), this.t(isMicrophoneLost ? "mic_lost" : "recording"));
    for (const sign of ["dot", "meter"]) $(sign).hidden = isMicrophoneLost;
    $("kept").hidden = !isMicrophoneLost;
    write($("stop"), this.t(isMicrophoneLost ? "transcribe" : "stop"));
  }

  #renderKey() {
    const { key } = this.state;
    const isAsked = isKeyAsked(this.state);
    $("key").hidden = !isAsked;
    write($("key-hint"), this.t({ wrong: "key_wrong", unanswered: "offline" }[key] ?? "key_hint"));
    $("key-input").setAttribute("aria-invalid", key === "wrong");
    $("forget").hidden = isAsked || !this.server.hasKey;
  }

  #renderProblem() {
    const { problem, segments } = this.state;
    $("alarm").hidden = !problem;
    if (!problem) {
      $("alarm-detail").open = false;
      return;
    }
    const { kind, message } = problem;
    const { retry, calm, explained } = problem.treatment;
    $("retry").hidden = !retry;
    $("alarm").classList.toggle("calm", Boolean(calm));
    write($("alarm-title"), this.t(kind));
    write($("alarm-advice"), kind === "cancelled" && !segments.length ? "" : this.t(`${kind}_advice`));
    $("alarm-detail").hidden = !explained || !message;
    write($("alarm-message"), message);
  }

  /** What the server noticed about the recording, in its own words: once, as the reader may have opened the list. */
  #renderWarnings() {
    const warnings = this.state.done?.warnings ?? [];
    const list = $("warnings-list");
    const isShown = warnings.every((text, i) => list.children[i]?.textContent === text);
    write($("warnings-title"), this.t("warnings", { count: warnings.length }));
    $("warnings").hidden = !warnings.length;
    if (isShown && list.children.length === warnings.length) return;
    $("warnings").open = false;
    list.replaceChildren(...warnings.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  }

  #renderQuestion() {
    const { question } = this.state;
    const dialog = $("question");
    if (!question) return dialog.close();
    write($("question-title"), this.t(question));
    write($("question-advice"), this.t(`${question}_advice`));
    if (!dialog.open) dialog.showModal();
  }

  renderProgress() {
    const done = fraction(this.state);
    if (done === null) $("progress").removeAttribute("value");
    else $("progress").value = done;
    write($("stage"), isBusy(this.state) ? this.#stage() : "");
    write($("summary"), this.state.done ? this.#summary() : "");
    document.title = this.#title(done);
    const { news } = this.state;
    write($("news"), news ? this.t(news.name, news.values) : "");
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
    write($("model"), server === null ? "" : this.#describe(server));
  }

  #describe(server) {
    if (!server) return this.t("offline");
    if (server.status !== "ok") return this.t("model_loading");
    return [this.t("model", server), server.precision, server.device].filter(Boolean).join(" · ");
  }
}
