// Everything the JavaScript client offers, step by step, against the Supernet that the environment names.
//
// A black box: only public names of the published package are used. Every step prints one line of JSON,
// {"step", "answer"}, {"step", "error"} or {"step", "absent"} if this version has no such method. The names of the
// steps, and the answers, are those of `steps.py`; `published.py` knows the answer that each step must have.
// Beside an answer stands what has been `called` for it, without what the client calls itself. The step `methods` answers
// what can be called.

import { createInterface } from "node:readline";
import { readFile } from "node:fs/promises";

const { SogniClient } = await import("@sogni-ai/sogni-client");

const environment = process.env;
const PICTURE = await readFile(environment.PICTURE);
const SONG = await readFile(environment.SONG);
const FILM = await readFile(environment.FILM);
const MODEL = "krea2_turbo_fp8_scaled";
const LORA_MODEL = MODEL;
const QWEN = "qwen3.6-35b-a3b-gguf-iq4xs";
const KITE = { title: "Kite", steps: [{ id: "still", toolName: "generate_image", arguments: { prompt: "a red kite", aspectRatio: "512x512" } }] };
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const endpoints = { restEndpoint: environment.SOGNI_REST_ENDPOINT, socketEndpoint: environment.SOGNI_SOCKET_ENDPOINT, network: "fast", logLevel: "error" };
// A client that is refused while it connects reports that a second time, to nobody, and so does an old one that is
// disposed of while it connects.
for (const name of ["unhandledRejection", "uncaughtException"]) process.on(name, (error) => process.stderr.write(`unhandled: ${error}\n`));
const GROUPS = ["client", "account", "announcements", "chat", "chat.completions", "chat.hosted", "chat.runs", "chat.tools", "projects", "projects.assets", "projects.personalLoras", "replay", "stats", "workflows", "workflows.templates"];
const offered = new Set();
const called = new Set();
const isMethod = (holder, name) => !name.startsWith("_") && name !== "constructor" && typeof Object.getOwnPropertyDescriptor(holder, name).value === "function";
// The same object, whose methods are noted when they are called from here. What it calls itself is not noted.
function noted(target, path) {
  for (let holder = target; holder && holder !== Object.prototype; holder = Object.getPrototypeOf(holder)) {
    for (const name of Object.getOwnPropertyNames(holder)) if (isMethod(holder, name)) offered.add(`${path}.${name}`);
  }
  const get = (_, name) => {
    const found = target[name];
    const inner = path === "client" ? String(name) : `${path}.${String(name)}`;
    if (GROUPS.includes(inner) && found) return noted(found, inner);
    if (typeof found !== "function") return found;
    return (...given) => {
      called.add(`${path}.${name}`);
      return found.apply(target, given);
    };
  };
  return new Proxy(target, { get });
}
const connect = async (options) => noted(await SogniClient.createInstance({ ...endpoints, ...options }), "client");
const client = await connect({ appId: environment.APP_ID, apiKey: environment.SOGNI_API_KEY });
const { account, announcements, chat, projects, replay, stats, workflows } = client;

class Absent extends Error {}
const need = (owner, method) => {
  if (typeof owner?.[method] !== "function") throw new Absent(method);
};

const MAGIC = [["png", "89504e47"], ["jpeg", "ffd8ff"], ["glb", "676c5446"], ["mp3", "494433"], ["mp3", "fff"], ["flac", "664c6143"]];
const TYPES = { png: ["image/png"], jpeg: ["image/jpeg"], webp: ["image/webp"], mp4: ["video/mp4"], mp3: ["audio/mpeg"], wav: ["audio/wav"], flac: ["audio/flac"], glb: ["model/gltf-binary"] };
function kindOf(bytes) {
  const head = bytes.subarray(0, 12).toString("hex");
  if (head.slice(8, 16) === "66747970") return "mp4";
  if (head.startsWith("52494646")) return head.endsWith("57415645") ? "wav" : "webp";
  return MAGIC.find(([, magic]) => head.startsWith(magic))?.[0] ?? head;
}
// What a URL delivers: its content must be of the type that the response states.
async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`download: ${response.status}`);
  const kind = kindOf(Buffer.from(await response.arrayBuffer()));
  const stated = response.headers.get("content-type");
  if (!TYPES[kind]?.includes(stated)) throw new Error(`download: ${kind} as ${stated}`);
  return kind;
}
async function made(params) {
  const project = noted(await projects.create({ type: "image", modelId: MODEL, positivePrompt: "a lighthouse", numberOfMedia: 1, steps: 8, guidance: 1, width: 512, height: 512, sizePreset: "custom", seed: 7, ...params }), "project");
  const urls = await project.waitForCompletion();
  return { project, kinds: await Promise.all(urls.map(fetched)) };
}
const film = (params) => made({ type: "video", modelId: "wan_v2.2-14b-fp8_t2v_lightx2v", frames: 17, fps: 16, steps: 4, guidance: undefined, width: 480, height: 480, sizePreset: undefined, ...params });
const ask = (params) => chat.completions.create({ model: QWEN, messages: [{ role: "user", content: "Say hello" }], ...params });
async function endOf(stream, ends) {
  const names = [];
  for await (const event of stream) {
    const name = event.event ?? event.type;
    names.push(name);
    if (ends.includes(name) || ends.includes(event.data?.type)) break;
  }
  return names;
}
async function until(look, is) {
  for (let looks = 0; looks < 400; looks++) {
    const found = await look();
    if (is(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error("the expected state did not come");
}
let sessions = 0;
// What is done by somebody who signed in with a name and a password.
async function signedIn(work, options) {
  const other = await connect({ appId: `${environment.APP_ID}-session-${sessions++}`, ...options });
  try {
    const tokens = await other.account.login(environment.ACCOUNT_NAME, environment.ACCOUNT_PASSWORD);
    return await work(other, tokens);
  } finally {
    other.dispose();
  }
}
const isMoney = (value) => Number(value) > 0;
const templateId = (template) => template.id ?? template.templateId ?? template.workflowId;
const refusal = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error.status ?? error.code ?? String(error);
  }
  return "accepted";
};

const STEPS = {
  async models() {
    return (await projects.waitForModels(10_000)).some((model) => model.id === MODEL);
  },
  async image() {
    return (await made({ numberOfMedia: 2 })).kinds;
  },
  async image_formats() {
    return [(await made({ outputFormat: "jpg" })).kinds, (await made({ outputFormat: "png" })).kinds];
  },
  async starting_image() {
    return (await made({ startingImage: PICTURE, startingImageStrength: 0.5 })).kinds;
  },
  async control_net() {
    return (await made({ modelId: "flux1-schnell-fp8", steps: 4, controlNet: { name: "canny", image: PICTURE } })).kinds;
  },
  async context_images() {
    return (await made({ modelId: "qwen_image_edit_2511_fp8_lightning", steps: 4, contextImages: [PICTURE, PICTURE] })).kinds;
  },
  async video() {
    return (await film({})).kinds;
  },
  async video_from_an_image() {
    return (await film({ modelId: "wan_v2.2-14b-fp8_i2v_lightx2v", referenceImage: PICTURE })).kinds;
  },
  async video_from_sound() {
    return (await film({ modelId: "wan_v2.2-14b-fp8_s2v_lightx2v", referenceImage: PICTURE, referenceAudio: SONG })).kinds;
  },
  async video_from_a_video() {
    return (await film({ modelId: "wan_v2.2-14b-fp8_animate-move_lightx2v", referenceImage: PICTURE, referenceVideo: FILM })).kinds;
  },
  async music() {
    return (await made({ type: "audio", modelId: "ace_step_1.5_turbo", duration: 10, guidance: undefined, width: undefined, height: undefined, sizePreset: undefined })).kinds;
  },
  async speech() {
    return (await made({ type: "audio", modelId: "qwen3_tts_1.7b_custom_voice_bf16", positivePrompt: "Welcome aboard.", steps: undefined, guidance: undefined, width: undefined, height: undefined, sizePreset: undefined })).kinds;
  },
  async upscaled_video() {
    return (await made({ type: "video", modelId: "flashvsr_v1.1_tiny_long_bf16", positivePrompt: "", referenceVideo: FILM, upscaleResolution: 1080, width: undefined, height: undefined, steps: undefined, guidance: undefined, sizePreset: undefined })).kinds;
  },
  async model_3d() {
    return (await made({ modelId: "pixal3d_int8_i23d", positivePrompt: "", startingImage: PICTURE, steps: undefined, guidance: undefined, width: undefined, height: undefined, sizePreset: undefined })).kinds;
  },
  async events() {
    const seen = new Set();
    for (const name of ["project", "job"]) projects.on(name, (event) => seen.add(`${name} ${event.type}`));
    await made({});
    return ["project queued", "project completed", "job started", "job progress", "job completed"].filter((name) => !seen.has(name));
  },
  async enhance() {
    const { project } = await made({});
    return await fetched(await noted(project.jobs[0], "job").enhance("medium"));
  },
  async cancel() {
    const order = { type: "image", modelId: MODEL, positivePrompt: "slow", numberOfMedia: 16, steps: 8, guidance: 1, width: 1024, height: 1024, sizePreset: "custom" };
    const first = noted(await projects.create(order), "project");
    await first.cancel();
    const second = await projects.create(order);
    await projects.cancel(second.id);
    return [first.status, second.status];
  },
  async project_record() {
    const { project } = await made({});
    const record = await projects.get(project.id);
    return [record.id === project.id, record.status];
  },
  async estimates() {
    const common = { network: "fast", tokenType: "spark" };
    return [
      isMoney((await projects.estimateCost({ ...common, model: MODEL, imageCount: 1, stepCount: 8, previewCount: 0, width: 512, height: 512 })).token),
      isMoney((await projects.estimateVideoCost({ tokenType: "spark", model: "wan_v2.2-14b-fp8_t2v_lightx2v", width: 480, height: 480, frames: 17, fps: 16, steps: 4, numberOfMedia: 1 })).token),
      isMoney((await projects.estimateAudioCost({ tokenType: "spark", model: "ace_step_1.5_turbo", duration: 10, steps: 8, numberOfMedia: 1 })).token),
      isMoney((await projects.estimateEnhancementCost("light", "spark")).token),
    ];
  },
  async options_and_sizes() {
    const [options, sizes] = [await projects.getModelOptions(MODEL), await projects.getSizePresets("fast", MODEL)];
    return [typeof options.steps.max, sizes.length > 0];
  },
  async catalogue() {
    const [supported, available] = [await projects.getSupportedModels(), await projects.getAvailableModels("fast")];
    return [supported.some((model) => model.id === MODEL), available.find((model) => model.id === MODEL).workerCount > 0, (await chat.waitForModels(10_000))[QWEN].workers > 0];
  },
  async charge() {
    const { token } = await projects.estimateCost({ network: "fast", tokenType: "spark", model: MODEL, imageCount: 2, stepCount: 8, previewCount: 0, guidance: 1, width: 512, height: 512 });
    const { project } = await made({ numberOfMedia: 2, tokenType: "spark" });
    return [project.id, Number(token)];
  },
  async video_between_two_frames() {
    return (await film({ modelId: "wan_v2.2-14b-fp8_i2v_lightx2v", referenceImage: PICTURE, referenceImageEnd: PICTURE })).kinds;
  },
  async last_frame() {
    const { project } = await made({ type: "video", modelId: "seedance-2-5", duration: 4, returnLastFrame: true, tokenType: "spark", width: 480, height: 480, steps: undefined, guidance: undefined, sizePreset: undefined, seed: undefined });
    return await fetched(await noted(project.jobs[0], "job").getLastFrameUrl());
  },
  async result_again() {
    const { project } = await made({});
    const job = noted(project.job(project.jobs[0].id), "job");
    return [await fetched(await job.getResultUrl()), kindOf(Buffer.from(await (await job.getResultData()).arrayBuffer()))];
  },
  async url_helpers() {
    const { project } = await made({ outputFormat: "png" });
    const song = await made({ type: "audio", modelId: "ace_step_1.5_turbo", duration: 10, guidance: undefined, width: undefined, height: undefined, sizePreset: undefined });
    const [picture, tune] = [project.jobs[0], song.project.jobs[0]];
    const jobId = "0A0A0A0A-0000-4000-8000-00000000000A";
    const imageId = "0A0A0A0A-0000-4000-8000-00000000000B";
    const sent = [];
    for (const [url, type, body] of [
      [await projects.uploadUrl({ imageId, jobId, type: "startingImage", contentType: "image/png" }), "image/png", PICTURE],
      [await projects.mediaUploadUrl({ jobId, type: "referenceAudio", contentType: "audio/mpeg" }), "audio/mpeg", SONG],
    ]) {
      sent.push((await fetch(url, { method: "PUT", headers: { "Content-Type": type }, body })).ok);
    }
    return [
      sent,
      await fetched(await projects.downloadUrl({ imageId: picture.id, jobId: project.id, type: "complete", contentType: "image/png" })),
      await fetched(await projects.mediaDownloadUrl({ id: tune.id, jobId: song.project.id, type: "complete", contentType: "audio/mpeg" })),
    ];
  },
  async chat() {
    const result = await ask({});
    return [result.content, result.finishReason];
  },
  async chat_stream() {
    const stream = await ask({ stream: true });
    let content = "";
    for await (const chunk of stream) content += chunk.content ?? "";
    return [content, stream.finalResult.content];
  },
  async chat_tools() {
    const asked = { messages: [{ role: "user", content: "What's the weather in Paris?" }], tools: [WEATHER] };
    const { tool_calls: calls } = await ask(asked);
    return [calls[0].function.name, JSON.parse(calls[0].function.arguments)];
  },
  async chat_tool_result() {
    const messages = [{ role: "user", content: "What's the weather in Paris?" }];
    const { tool_calls: calls } = await ask({ messages, tools: [WEATHER] });
    messages.push({ role: "assistant", content: "", tool_calls: calls }, { role: "tool", tool_call_id: calls[0].id, content: "It is snowing." });
    return (await ask({ messages, tools: [WEATHER] })).content;
  },
  async tools_in_the_client() {
    const call = { id: "call-1", type: "function", function: { name: "generate_image", arguments: JSON.stringify({ prompt: "a red kite", width: 512, height: 512 }) } };
    const options = { tokenType: "spark" };
    const [one, all] = [await chat.tools.execute(call, options), await chat.tools.executeAll([call, { ...call, id: "call-2" }], options)];
    return [one.success, await fetched(one.resultUrls[0]), all.map((result) => [result.toolCallId, result.success])];
  },
  async chat_vision() {
    const url = `data:image/png;base64,${PICTURE.toString("base64")}`;
    return (await ask({ messages: [{ role: "user", content: [{ type: "text", text: "What is this?" }, { type: "image_url", image_url: { url } }] }] })).content;
  },
  async chat_json() {
    const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"], additionalProperties: false };
    const { content } = await ask({ messages: [{ role: "user", content: "My name is Ada." }], response_format: { type: "json_schema", json_schema: { name: "person", schema } } });
    return Object.keys(JSON.parse(content));
  },
  async chat_estimate() {
    return isMoney((await chat.estimateCost({ model: QWEN, messages: [{ role: "user", content: "hello" }], tokenType: "spark" })).costInSpark);
  },
  async hosted() {
    need(chat.hosted, "create");
    return (await chat.hosted.create({ model: QWEN, messages: [{ role: "user", content: "Say hello" }] })).choices[0].message.content;
  },
  async hosted_tool() {
    need(chat.hosted, "executeTool");
    return (await chat.hosted.executeTool({ tool: "compose_script", arguments: { brief: "a kite" } })).status;
  },
  async run() {
    const run = await chat.runs.create({ messages: [{ role: "user", content: "Create an image of a red kite" }], tokenType: "spark" });
    const names = await endOf(chat.runs.streamEvents(run.runId ?? run.id), ["run_completed", "run.completed", "completed", "done"]);
    return [(await chat.runs.get(run.runId ?? run.id)).status, names.length > 2];
  },
  async run_canceled() {
    const { runId } = await chat.runs.create({ messages: [{ role: "user", content: "Create an image of a red kite" }], tokenType: "spark", runtimeConfig: { requireJobConfirmation: true } });
    await until(() => chat.runs.get(runId), (run) => run.status === "waiting_for_user");
    await chat.runs.cancel(runId, "enough");
    return (await chat.runs.get(runId)).status;
  },
  async run_cost() {
    need(chat.runs, "confirmCost");
    const { runId } = await chat.runs.create({ messages: [{ role: "user", content: "Create an image of a red kite" }], tokenType: "spark", runtimeConfig: { requireJobConfirmation: true } });
    const { waiting } = await until(() => chat.runs.get(runId), (run) => run.status === "waiting_for_user");
    const { toolCallId, costApprovalPreview } = waiting.details;
    const early = await refusal(chat.runs.confirmCost(runId, { toolCallId, decision: "confirm" }));
    await chat.runs.confirmCost(runId, { toolCallId, decision: "confirm", acceptedCostPreview: costApprovalPreview });
    const { status, artifacts } = await until(() => chat.runs.get(runId), (run) => !["queued", "running"].includes(run.status));
    return [waiting.reason, early, status, artifacts.length];
  },
  async workflow() {
    const { workflowId } = await workflows.start({ tokenType: "spark", input: KITE });
    const names = await endOf(workflows.streamEvents(workflowId), []);
    const record = await workflows.get(workflowId);
    const listed = (await workflows.list({ limit: 5 })).some((one) => one.workflowId === workflowId);
    return [record.status, names.length > 2, listed, (await workflows.events(workflowId)).length > 2];
  },
  async workflow_resumed() {
    const steps = [{ id: "ask", toolName: "ask_clarifying_question", arguments: { question: "Which color?" } }];
    const { workflowId } = await workflows.start({ tokenType: "spark", input: { title: "Question", steps } });
    const { waitingReason } = await until(() => workflows.get(workflowId), (workflow) => workflow.status === "waiting_for_user");
    const { resumed } = await workflows.resume(workflowId);
    const { status } = await until(() => workflows.get(workflowId), (workflow) => workflow.status === "completed");
    return [waitingReason, resumed, status];
  },
  async workflow_reseed() {
    const { workflowId } = await workflows.start({ tokenType: "spark", input: KITE });
    await endOf(workflows.streamEvents(workflowId), []);
    const { workflow } = await workflows.reseed(workflowId);
    await endOf(workflows.streamEvents(workflow.workflowId), []);
    return (await workflows.get(workflow.workflowId)).status;
  },
  async workflow_cancel() {
    const { workflowId } = await workflows.start({ tokenType: "spark", confirmCost: false, input: KITE });
    await workflows.cancel(workflowId);
    return (await workflows.get(workflowId)).status;
  },
  async templates() {
    const template = await workflows.templates.create({ name: "Kite", description: "A kite", steps: KITE.steps });
    const id = templateId(template);
    const changed = await workflows.templates.update(id, { name: "Dragon" });
    const fork = await workflows.templates.fork(id, { newName: "Copy" });
    const { templates } = await workflows.templates.list();
    await workflows.templates.delete(id);
    return [changed.name, fork.name, templates.length >= 2, await refusal(workflows.templates.get(id))];
  },
  async replay() {
    const written = await replay.write({ run_id: `run-${Date.now()}`, user_request: "a kite", rounds: [] });
    const { records } = await replay.list({ limit: 5 });
    return [records.some((one) => one.runId === written.runId), (await replay.get(written.runId)).record.user_request];
  },
  async loras() {
    need(projects, "availableLoras");
    const { loras, constraints } = await projects.availableLoras({ modelId: LORA_MODEL });
    const { loras: unknown } = await projects.availableLoras({ modelId: "no_such_model" });
    const ids = loras.map((lora) => lora.loraId).sort();
    return [ids, constraints.maxPerRequest, unknown, (await projects.getLora(ids[0])).name.length > 0, await projects.supportsLoras(LORA_MODEL), (await projects.loraConstraints()).maxStrength];
  },
  async image_with_a_lora() {
    need(projects, "availableLoras");
    const { loras } = await projects.availableLoras({ modelId: LORA_MODEL });
    const { loraId } = loras.find((lora) => !lora.ui.nsfw);
    return (await made({ modelId: LORA_MODEL, loras: [loraId], loraStrengths: [0.8] })).kinds;
  },
  async personal_loras() {
    need(projects.personalLoras, "import");
    const personal = projects.personalLoras;
    const { id } = await personal.import({ url: "https://huggingface.co/local/mine/resolve/main/mine.safetensors", name: "Mine", modelId: LORA_MODEL, rightsConfirmed: true });
    let record;
    for (let polls = 0; polls < 100; polls++) {
      record = await personal.get(id);
      if (record.status === "ready") break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const listed = (await personal.list()).loras.length;
    const { loras } = await personal.catalog({ modelId: LORA_MODEL });
    await personal.remove(id);
    return [record.status, record.name, listed, loras.length, (await personal.list()).loras.length];
  },
  async saved_uploads() {
    need(projects.assets, "list");
    for (const { id } of (await projects.assets.list()).assets ?? []) await projects.assets.remove(id);
    const picture = new Blob([PICTURE], { type: "image/png" });
    const kinds = [];
    for (const seed of [1, 2]) kinds.push((await made({ startingImage: picture, startingImageStrength: 0.5, seed })).kinds);
    const { assets } = await projects.assets.list();
    const [{ id, contentType, state }] = assets;
    await projects.assets.remove(id);
    return [kinds, assets.length, contentType, state, (await projects.assets.list()).assets.length, await refusal(projects.assets.remove(id))];
  },
  async saved_upload_bound() {
    need(projects.assets, "upload");
    const { assets } = projects;
    const saved = await assets.upload(new Blob([PICTURE], { type: "image/png" }), "image/png", "A picture");
    const projectId = "0A0A0A0A-0000-4000-8000-000000000001";
    await assets.bind(saved.id, { projectId, type: "startingImage" });
    const url = await projects.downloadUrl({ imageId: "I", jobId: projectId, type: "startingImage" });
    const other = { projectId: "0A0A0A0A-0000-4000-8000-000000000002", type: "startingImage" };
    const bound = await assets.tryBindFile(new Blob([PICTURE], { type: "image/png" }), "image/png", other);
    await assets.remove(saved.id);
    return [saved.name, saved.bytes === PICTURE.length, saved.state, await fetched(url), bound];
  },
  async project_status() {
    need(projects, "getStatus");
    const { project } = await made({});
    const status = await projects.getStatus(project.id);
    return [status.id === project.id, status.status, status.finished];
  },
  async projects_elsewhere() {
    need(projects, "listProjectsElsewhere");
    return await projects.listProjectsElsewhere();
  },
  async resolve_missing() {
    need(projects, "resolveMissing");
    return Object.values(await projects.resolveMissing(["AAAAAAAA-0000-4000-8000-000000000000"], { attempts: 1, delayMs: 1 })).map((found) => found.state ?? found.status ?? found);
  },
  async sync() {
    need(projects, "sync");
    const { project } = await made({});
    const { active, lost } = await projects.sync("manual");
    return [project.status, active, lost];
  },
  async announcements() {
    need(announcements, "active");
    const listed = await announcements.active();
    for (const { id } of listed) await announcements.dismiss(id);
    // One that an earlier attempt has not dismissed has the same title.
    const different = new Map(listed.map(({ title, kind }) => [title, [title, kind]]));
    return [[...different.values()], (await announcements.active()).length, await refusal(announcements.dismiss("no-such-announcement"))];
  },
  async subscription() {
    need(account, "getSubscriptionUsage");
    const [usage, trial] = [await account.getSubscriptionUsage(), await account.getTrialEligibility()];
    await account.setDeviceId("a-device");
    return [typeof usage.periodJobs, trial.eligible, typeof (await account.getNonce(client.currentAccount.walletAddress))];
  },
  async plans() {
    need(account, "createSubscriptionCheckout");
    return await signedIn(async ({ account: own }) => {
      const { url } = await own.createSubscriptionCheckout("unlimited", "monthly");
      const portal = await own.createSubscriptionPortalSession();
      const [status, refreshed] = [await own.getSubscriptionStatus(), await own.refreshSubscription()];
      return [url.startsWith("http"), portal.url.startsWith("http"), status.status, refreshed.status];
    });
  },
  async new_account() {
    const username = `grace${Date.now()}`;
    const other = await connect({ appId: `${environment.APP_ID}-new` });
    const created = await other.account.create({ username, email: `${username}@example.test`, password: "a good password", subscribe: false, turnstileToken: "captcha" });
    const [taken, free] = [await other.account.validateUsername(username), await other.account.validateUsername(`${username}x`)];
    const me = await other.account.me();
    const { walletAddress } = other.account.getWallet ? { walletAddress: other.account.getWallet(username, "a good password").address } : me;
    other.dispose();
    return [typeof created.token, taken.errorCode, free.status, me.username === username, me.walletAddress === walletAddress];
  },
  async tokens() {
    return await signedIn(async ({ account: own }) => {
      const password = environment.ACCOUNT_PASSWORD;
      const { walletAddress } = await own.me();
      const { id } = (await own.rewards()).find((reward) => reward.canClaim) ?? {};
      if (id) await own.claimRewards([id]);
      const amount = async () => Number((await own.walletBalance(walletAddress)).sogni);
      const before = await amount();
      await own.withdraw(password, 2);
      const withdrawn = (await amount()) - before;
      await own.approveTokenUsage(password, "account");
      await own.deposit(password, "1.5");
      const kept = (await amount()) - before;
      return [withdrawn, kept, await refusal(own.withdraw(`${password}!`, 1)), await refusal(own.claimRewards(["no-such-reward"]))];
    });
  },
  async tokens_restored() {
    return await signedIn(async (_, { token, refreshToken }) => {
      const other = await connect({ appId: `${environment.APP_ID}-restored` });
      await other.setTokens({ token, refreshToken });
      const { username } = await other.account.me();
      other.dispose();
      return username === environment.ACCOUNT_NAME;
    });
  },
  async cookies() {
    const other = await connect({ appId: `${environment.APP_ID}-cookies`, authType: "cookies", disableSocket: true });
    const before = await other.checkAuth();
    other.dispose();
    return before;
  },
  async network() {
    const other = await connect({ appId: `${environment.APP_ID}-network`, apiKey: environment.SOGNI_API_KEY });
    await other.projects.waitForModels(10_000);
    const switched = [await other.account.switchNetwork("relaxed"), await other.account.switchNetwork("fast")];
    await other.setSocketEventSubscriptions({ modelAvailability: false });
    other.dispose();
    return switched;
  },
  async balance() {
    return isMoney((await account.accountBalance()).spark.net ?? 0) && Object.keys(await account.refreshBalance()).length > 0;
  },
  async history() {
    const { entries } = await account.transactionHistory({ status: "completed", address: client.currentAccount.walletAddress, limit: 5 });
    return [entries.length > 0, Array.isArray(await account.rewards()), (await account.getSubscriptionPlans()).length > 0];
  },
  async leaderboard() {
    return Array.isArray(await stats.leaderboard({ type: "jobCompleteArtist", period: "lifetime" }));
  },
  async sign_in() {
    const other = await connect({ appId: `${environment.APP_ID}-other` });
    await other.account.login(environment.ACCOUNT_NAME, environment.ACCOUNT_PASSWORD);
    const models = await other.projects.waitForModels(10_000);
    const { username } = await other.account.me();
    await other.account.logout();
    other.dispose();
    return [username === environment.ACCOUNT_NAME, models.length > 0, other.apiClient.auth.isAuthenticated];
  },
  async wrong_key() {
    const other = await connect({ appId: `${environment.APP_ID}-wrong`, apiKey: "wrong-key", disableSocket: true });
    const status = await refusal(other.account.me());
    other.dispose();
    return status;
  },
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { step } = JSON.parse(line);
  let printed;
  try {
    called.clear();
    if (step === "methods") {
      for (const group of GROUPS.slice(1)) group.split(".").reduce((holder, name) => holder?.[name], client);
      printed = { step, answer: [...offered] };
    } else printed = step in STEPS ? { step, answer: await STEPS[step]() } : { step, absent: true };
  } catch (error) {
    const absent = error instanceof Absent || /is not a function/.test(error.message);
    printed = absent ? { step, absent: true, why: error.message } : { step, error: `${error} ${JSON.stringify(error)}`.slice(0, 1000) };
  }
  process.stdout.write(`${JSON.stringify({ ...printed, called: [...called] })}\n`);
}).on("close", () => {
  client.dispose();
  process.exit(0);
});
