import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { SogniClient } from "@sogni-ai/sogni-client";

import { drawPoster, writeSlogan } from "./posters.mjs";
import { startSupernet } from "./supernet.mjs";

let supernet, client;

before(async () => {
  supernet = await startSupernet();
  client = await SogniClient.createInstance({
    appId: "posters-test",
    apiKey: supernet.apiKey,
    network: "fast",
    logLevel: "error",
    ...supernet.endpoints,
  });
});
after(async () => {
  client?.dispose();
  await supernet?.stop();
});
beforeEach(() => supernet.reset());

test("a poster is a PNG of what was asked for", async () => {
  const poster = await drawPoster(client, "a lighthouse at dawn");
  assert.equal(poster.subarray(1, 4).toString(), "PNG");
  const [sent] = (await supernet.requests()).filter((it) => it.type === "jobRequest");
  assert.equal(sent.data.keyFrames[0].positivePrompt, "a lighthouse at dawn");
});

test("the projects of other tests are gone", async () => {
  assert.deepEqual((await supernet.state()).projects, []);
});

test("a lost connection does not lose the poster", async () => {
  const drop = await supernet.fault("drop_socket", { at: "started" });
  assert.equal((await drawPoster(client, "a kite")).subarray(1, 4).toString(), "PNG");
  const [used] = await supernet.faults();
  assert.deepEqual([used.id, used.fired], [drop.id, 1]);
});

test("a worker that fails is reported", async () => {
  await supernet.fault("fail_job", { message: "The worker ran out of memory" });
  await assert.rejects(drawPoster(client, "a kite"));
});

test("a poster that cannot be downloaded is reported", async () => {
  await supernet.fault("http", { path: "/storage/*", method: "GET", status: 403 });
  await assert.rejects(drawPoster(client, "a kite"), /could not be downloaded: 403/);
});

test("a slogan is the model's answer", async () => {
  await supernet.reply("  Kites lift you up.\n", { when: "kites" });
  assert.equal(await writeSlogan(client, "kites"), "Kites lift you up.");
});

test("a mistake in a test is explained", async () => {
  await assert.rejects(supernet.fault("drop_sockets"), /there is no fault 'drop_sockets'; did you mean drop_socket\?/);
});
