// Requests to the room: a secret in the Authorization header, and an error with the room's sentence.

// `status` of an error is that of the answer; 0 where the room does not answer.
export async function ask(path, { method = "GET", secret, body, type, keepalive = false }) {
  const headers = { Authorization: `Bearer ${secret}` };
  if (type) headers["Content-Type"] = type;
  let response;
  try {
    response = await fetch(path, { method, headers, body, keepalive });
  } catch {
    throw Object.assign(new Error("The room does not answer."), { status: 0 });
  }
  if (!response.ok) throw Object.assign(new Error((await response.text()).trim()), { status: response.status });
  return response;
}

export async function send(path, method, secret, value) {
  const response = await ask(path, { method, secret, body: JSON.stringify(value), type: "application/json" });
  return response.json();
}
