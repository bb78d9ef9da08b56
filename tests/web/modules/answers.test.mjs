import assert from "node:assert/strict";
import test from "node:test";

import { Lines, Problem } from "../../../asr_core/web/page/answers.mjs";

test("lines are read once each, wherever the text is cut", () => {
  const events = [{ type: "segment", text: "раз\n два" }, { type: "segment" }, { type: "done" }];
  const whole = "\n" + events.map((event) => JSON.stringify(event) + "\n\n").join("");
  for (let first = 0; first <= whole.length; first++) {
    for (let second = first; second <= whole.length; second++) {
      const lines = new Lines();
      const read = [first, second, whole.length].flatMap((end) => lines.read(whole.slice(0, end)));
      assert.deepEqual(read, events);
    }
  }
});

test("lines that are no JSON are somebody else's", () => {
  for (const text of ["<html>\n", '{"type": "segment"}\n<html>\n', '{"type":\n']) {
    assert.throws(() => new Lines().read(text), { kind: "network" });
  }
});

test("what the server says of a failure is kept", () => {
  const body = JSON.stringify({ error: { message: "Sorry.", type: "server_error", param: null, code: "queue_full" } });
  const { status, code, message, kind } = Problem.from(503, body);
  assert.deepEqual({ status, code, message, kind }, { status: 503, code: "queue_full", message: "Sorry.", kind: "busy" });
});

test("a failure has the same kind in a status and at the end of a stream, whose status is 200", () => {
  const errors = {
    bad_audio: { param: "file", code: null },
    too_long: { param: "file", code: "audio_too_long" },
    no_room: { param: null, code: "storage_full" },
    busy: { param: null, code: "busy" },
    unknown: { param: null, code: "internal_error" },
  };
  for (const [kind, error] of Object.entries(errors)) {
    for (const status of [400, 500]) assert.equal(new Problem(status, error).kind, kind);
  }
});

test("what is wrong with the form and not with the recording is not blamed on the recording", () => {
  assert.equal(new Problem(400, { param: null, code: null }).kind, "unknown");
});

test("every kind is treated somehow", () => {
  for (const status of [0, 400, 401, 404, 408, 413, 500, 502, 503, 504, 507]) assert.ok(new Problem(status).treatment);
  for (const code of ["cancelled", "unreadable", "model_not_ready"]) assert.ok(new Problem(0, { code }).treatment);
});

test("an answer that is none of the server's own is judged by its status", () => {
  for (const body of ["", "<html>502</html>", "null", "{}", '{"error": "text"}', '{"error": {"code": "constructor"}}']) {
    assert.equal(Problem.from(502, body).kind, "network");
    assert.equal(Problem.from(418, body).kind, "unknown");
  }
});
