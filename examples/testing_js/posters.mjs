// The application under test: it writes a slogan and draws a poster for it.

export async function writeSlogan(client, product) {
  const answer = await client.chat.completions.create({
    model: "qwen3.6-35b-a3b-gguf-iq4xs",
    messages: [{ role: "user", content: `A slogan for ${product}` }],
  });
  return answer.content.trim();
}

export async function drawPoster(client, prompt) {
  const project = await client.projects.create({
    type: "image",
    modelId: "krea2_turbo_fp8_scaled",
    positivePrompt: prompt,
    numberOfMedia: 1,
    steps: 8,
    guidance: 1,
  });
  const [url] = await project.waitForCompletion();
  const response = await fetch(url);
  if (!response.ok) throw new Error(`The poster could not be downloaded: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
