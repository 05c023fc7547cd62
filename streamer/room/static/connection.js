// One WebRTC connection to the room, by WHIP: tracks out, nothing in.

const GATHER_MS = 3000;

function gathered(connection) {
  return new Promise((resolve) => {
    const look = () => connection.iceGatheringState === "complete" && resolve();
    connection.addEventListener("icegatheringstatechange", look);
    setTimeout(resolve, GATHER_MS);
    look();
  });
}

export class Connection {
  // Sends `tracks` of the kinds that the person agreed to; `onState` gets the connection's state.
  constructor(kinds, tracks, onState) {
    this.peer = new RTCPeerConnection();
    this.senders = {};
    for (const kind of kinds) {
      this.senders[kind] = this.peer.addTransceiver(tracks[kind] ?? kind, { direction: "sendonly" }).sender;
    }
    this.peer.addEventListener("connectionstatechange", () => onState(this.peer.connectionState));
  }

  // `post` sends the offer and returns the answer.
  async open(post) {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    await gathered(this.peer);
    await this.peer.setRemoteDescription({ type: "answer", sdp: await post(this.peer.localDescription.sdp) });
  }

  async replace(tracks) {
    for (const [kind, sender] of Object.entries(this.senders)) await sender.replaceTrack(tracks[kind]);
  }

  close() {
    this.peer.close();
  }
}
