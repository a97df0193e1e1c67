import { assertEquals, assertStringIncludes } from "../assert.ts";
import { type RunningServer, runTool, startServer, testWith } from "../harness.ts";

const WIRETAP = "servers/wiretap";
/** tshark checks no checksum unless told to: network cards fill them in later. */
const CHECKSUMS = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
/** What tshark calls wrong: a checksum, a number out of order, a header that it does not understand. */
const WRONG = "tcp.analysis.flags or ip.checksum.status == 0 or tcp.checksum.status == 0 or udp.checksum.status == 0" +
  " or _ws.malformed";

/** A capture file that is gone after the test. */
class CaptureFile implements AsyncDisposable {
  readonly path = Deno.makeTempFileSync({ suffix: ".pcap" });

  /** A wiretap before an echo server, both over TCP or both over UDP, which writes this file. */
  start(target: RunningServer, args: readonly string[] = []): Promise<RunningServer> {
    return startServer(WIRETAP, ["--to", `127.0.0.1:${target.port}`, "--save", this.path, ...args], {
      permissions: ["-N", `-W=${this.path}`],
    });
  }

  /** What tshark prints about it, by lines. */
  async read(...args: readonly string[]): Promise<string[]> {
    const { code, stdout, stderr } = await runTool("tshark", ["-r", this.path, ...CHECKSUMS, ...args]);
    assertEquals(code, 0, stderr);
    return stdout.split("\n").filter((line) => line !== "");
  }

  /** The hex of what each side has sent in a stream, as tshark puts it together: client, server. */
  async follow(stream: number): Promise<[string, string]> {
    const lines = (await this.read("-q", "-z", `follow,tcp,raw,${stream}`)).filter((line) =>
      /^\t?[0-9a-f]+$/.test(line)
    );
    const [down, up] = [true, false].map((isDown) => lines.filter((line) => line.startsWith("\t") === isDown));
    return [up!.join(""), down!.join("").replaceAll("\t", "")];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path);
  }
}

/** Sends the text through nc and resolves to the answer. */
async function netcat(server: RunningServer, text: string, args: readonly string[] = ["-N"]): Promise<string> {
  const { code, stdout } = await runTool("nc", [...args, server.hostname, `${server.port}`], text);
  assertEquals(code, 0);
  return stdout;
}

testWith(
  ["tshark", "nc"],
  "wiretap --save: tshark reads a TCP capture without complaint and follows the streams",
  async () => {
    await using capture = new CaptureFile();
    await using echo = await startServer("servers/tcp_echo");
    await using wiretap = await capture.start(echo);
    const long = "a long line, over and over\n".repeat(10_000);
    assertEquals(await netcat(wiretap, "hello, wire\n"), "hello, wire\n");
    assertEquals(await netcat(wiretap, long), long);
    await wiretap.printed("#2 <- end");
    const packets = await capture.read("-T", "fields", "-e", "tcp.flags.str", "-e", "tcp.dstport", "-e", "tcp.len");
    assertEquals(packets.slice(0, 4).map((packet) => packet.replaceAll("·", "").split("\t")), [
      ["S", `${echo.port}`, "0"],
      ["AS", packets[1]!.split("\t")[1]!, "0"],
      ["A", `${echo.port}`, "0"],
      ["AP", `${echo.port}`, "12"],
    ]);
    assertEquals(await capture.read("-Y", WRONG), []);
    const checked = await capture.read("-Y", "tcp.checksum.status == 1 and ip.checksum.status == 1");
    assertEquals(checked.length, packets.length);
    assertEquals((await capture.follow(0)).map((hex) => decode(hex)), ["hello, wire\n", "hello, wire\n"]);
    assertEquals((await capture.follow(1)).map((hex) => decode(hex)), [long, long]);
  },
);

testWith(["tshark"], "wiretap --save: a connection that is cut ends with RST in both directions", async () => {
  await using capture = new CaptureFile();
  await using echo = await startServer("servers/tcp_echo");
  await using wiretap = await capture.start(echo, ["--cut-after", "3"]);
  using client = await wiretap.connect();
  await client.write(new TextEncoder().encode("hello"));
  await wiretap.logged("closed: cut");
  const resets = await capture.read("-Y", "tcp.flags.reset == 1", "-T", "fields", "-e", "tcp.dstport");
  assertEquals(resets.length, 2);
  assertEquals(await capture.read("-Y", WRONG), []);
});

testWith(["tshark", "nc"], "wiretap --udp --save: tshark reads each datagram once, whatever befalls it", async () => {
  await using capture = new CaptureFile();
  await using echo = await startServer("servers/udp_echo");
  await using wiretap = await capture.start(echo, ["--udp", "--drop", "100%", "--direction", "down"]);
  assertEquals(await netcat(wiretap, "hello", ["-u", "-w1"]), "");
  await wiretap.printed("#1 <- 5 bytes (dropped)");
  const datagrams = await capture.read("-T", "fields", "-e", "udp.srcport", "-e", "udp.dstport", "-e", "data.data");
  const [client] = datagrams[0]!.split("\t");
  assertEquals(datagrams, [`${client}\t${echo.port}\t68656c6c6f`, `${echo.port}\t${client}\t68656c6c6f`]);
  assertEquals(await capture.read("-Y", WRONG), []);
  assertEquals((await capture.read("-Y", "udp.checksum.status == 1")).length, 2);
});

testWith(["tshark", "tcpdump"], "wiretap --save: a file is readable to the last packet after a SIGKILL", async () => {
  await using capture = new CaptureFile();
  await using echo = await startServer("servers/tcp_echo");
  const wiretap = await capture.start(echo);
  using client = await wiretap.connect();
  await client.write(new TextEncoder().encode("last words"));
  await wiretap.printed("#1 <- 10 bytes");
  assertEquals((await wiretap.stop("SIGKILL")).code, 137);
  const lengths = await capture.read("-T", "fields", "-e", "tcp.len");
  assertEquals(lengths, ["0", "0", "0", "10", "10"]);
  const { code, stdout } = await runTool("tcpdump", ["-r", capture.path, "-n", "-A"]);
  assertEquals(code, 0);
  assertStringIncludes(stdout, "last words");
});

function decode(hex: string): string {
  return new TextDecoder().decode(Uint8Array.fromHex(hex));
}
