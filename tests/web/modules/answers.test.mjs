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

test("what the server says of a failure is kept", () => {
  const body = JSON.stringify({ error: { message: "Sorry.", type: "server_error", param: null, code: "queue_full" } });
  const { status, code, message, kind } = Problem.from(503, body);
  assert.deepEqual({ status, code, message, kind }, { status: 503, code: "queue_full", message: "Sorry.", kind: "busy" });
});

test("an answer that is none of the server's own is judged by its status", () => {
  for (const body of ["", "<html>502</html>", "null", "{}", '{"error": "text"}']) {
    assert.equal(Problem.from(502, body).kind, "network");
    assert.equal(Problem.from(418, body).kind, "unknown");
  }
});
