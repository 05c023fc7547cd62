// In a browser, on the page that `streamer dashboard` serves: paste it into the console, or serve
// it from the same origin (others may not read). After a lost connection the browser goes on from
// the last record that it had.
const source = new EventSource("/api/events?session=standup");
source.addEventListener("records", (event) => {
  for (const record of JSON.parse(event.data)) {
    if (record.topic !== "smoothed") continue;
    console.log(record.participant_id, record.end_ms / 1000, record.valence, record.label);
  }
});
source.addEventListener("reset", () => console.log("from the beginning again"));
