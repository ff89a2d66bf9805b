// Starts a local Supernet (`pip install "sogni[cli,emulator]"`) and controls it.

import { spawn } from "node:child_process";
import { once } from "node:events";

export async function startSupernet(...options) {
  const command = ["emulator", "--json", "--control", "--step-time", "0", ...options];
  const emulator = spawn("sogni", command, { stdio: ["ignore", "pipe", "inherit"] });
  const found = JSON.parse(await firstDocument(emulator));

  async function call(method, path, body) {
    const response = await fetch(found.controlEndpoint + path, {
      method,
      headers: { Authorization: `Bearer ${found.controlToken}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error.message);
    return answer;
  }

  return {
    apiKey: found.apiKey,
    endpoints: { restEndpoint: found.restEndpoint, socketEndpoint: found.socketEndpoint },
    state: () => call("GET", "/state"),
    requests: async () => (await call("GET", "/requests")).requests,
    fault: (name, fields = {}) => call("POST", "/faults", { name, ...fields }),
    faults: async () => (await call("GET", "/faults")).faults,
    reply: (answer, fields = {}) => call("POST", "/chat", { answer, ...fields }),
    reset: () => call("POST", "/reset"),
    async stop() {
      emulator.kill("SIGINT");
      if (emulator.exitCode === null) await once(emulator, "exit");
    },
  };
}

// The emulator prints one JSON document when it accepts connections.
async function firstDocument(emulator) {
  let text = "";
  for await (const chunk of emulator.stdout) {
    text += chunk;
    if (text.endsWith("}\n")) return text;
  }
  throw new Error("The emulator has ended");
}
