#!/usr/bin/env python3
"""bsip.py - run one headless baresip 1.0.0 as a test endpoint.

bsip.py --id N [--dial sip:ROOM@HOST:PORT | --answer] --secs S --out DIR
  --sip 127.0.0.1:PORT   own SIP address (default 127.0.0.1:16060+10*id)
  --transport udp|tcp|tls  --mediaenc srtp|srtp-mand|dtls_srtp  --ice
  --acodec opus/48000/2,pcma,...   --vcodec h264|h264-0|vp8|vp9|h265|none
  --pat DIR              where patN.mkv and toneN.wav are (mkpat.py)
  --size 640x360 --fps 25 --vbit 800000
  --at SEC:COMMAND       any baresip command at a time after 'established', e.g.
                         4:sndcode 12#   6:hold   8:resume   5:video_dir inactive
  --snap HZ              PNGs of received video per second (default 2)
  --register sip:REGISTRAR --user U --password P
Leaves DIR/recv.wav, DIR/snap-*.png, DIR/log.txt, DIR/events.jsonl, DIR/summary.json
"""
import tempfile, argparse, json, os, re, signal, socket, subprocess, sys, time, glob, wave

p = argparse.ArgumentParser()
a = p.add_argument
a("--id", type=int, default=0); a("--dial"); a("--answer", action="store_true")
a("--secs", type=float, default=10); a("--out", required=True); a("--sip"); a("--ctrl", type=int); a("--rtp", type=int)
a("--transport", default="udp"); a("--mediaenc"); a("--ice", action="store_true"); a("--rtcp-mux", action="store_true")
a("--acodec", default="opus/48000/2,pcma,pcmu"); a("--vcodec", default="h264")
a("--pat", default=os.path.join(tempfile.gettempdir(), "patterns")); a("--size", default="640x360"); a("--fps", default="25")
a("--vbit", default="800000"); a("--at", action="append", default=[]); a("--snap", type=float, default=2)
a("--register"); a("--user"); a("--password"); a("--wait", type=float, default=15)
a("--cafile"); a("--cert"); a("--asrc"); a("--vsrc"); a("--extra", action="append", default=[]); a("--verbose", action="store_true")
o = p.parse_args()

out = os.path.abspath(o.out); os.makedirs(out, exist_ok=True)
for f in glob.glob(out + "/*.png") + glob.glob(out + "/*.wav"):
    os.remove(f)
ip, port = (o.sip or f"127.0.0.1:{16060 + 10*o.id}").rsplit(":", 1)
def freeport():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); p = s.getsockname()[1]; s.close(); return p


ctrl = o.ctrl or freeport()
rtp = o.rtp or 20000 + 200 * o.id
user = o.user or f"ep{o.id}"
cert = o.cert
if not cert:
    cert = out + "/cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={ip}",
                    "-addext", f"subjectAltName=IP:{ip}", "-keyout", out + "/k.pem", "-out", out + "/c.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    open(cert, "w").write(open(out + "/k.pem").read() + open(out + "/c.pem").read())
video = o.vcodec != "none"
# order and choice of modules is the order in the offer.  The account's video_codecs=h264 (here h264-0)
# offers only packetization-mode=0 and answers m=video 0 to an offer of only mode 1; left out (h264),
# modes 0 and 1, H263, MP4V-ES and H265 are offered.
vmods = {"vp8": "module vp8.so\n", "vp9": "module vp9.so\n", "none": ""}.get(o.vcodec, "module avcodec.so\n")
vsrc = o.vsrc or f"avformat,{o.pat}/pat{o.id}.mkv"
asrc = o.asrc or f"aufile,{o.pat}/tone{o.id}.wav"
conf = f"""poll_method epoll
sip_listen {ip}:{port}
sip_certificate {cert}
{'sip_cafile ' + o.cafile if o.cafile else ''}
call_local_timeout 120
call_max_calls 4
audio_source {asrc}
audio_player aubridge,ep{o.id}
audio_alert aubridge,al{o.id}
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
video_source {vsrc}
video_display fakevideo,nil
video_size {o.size}
video_bitrate {o.vbit}
video_fps {o.fps}
videnc_format yuv420p
rtp_ports {rtp}-{rtp+19}
rtcp_mux {"yes" if o.rtcp_mux else "no"}
jitter_buffer_delay 1-10
rtp_stats yes
net_interface {ip}
module_path /usr/lib/baresip/modules
module opus.so
module g722.so
module g711.so
module sndfile.so
module ausine.so
module aufile.so
module aubridge.so
{vmods}module snapshot.so
module fakevideo.so
module avformat.so
module srtp.so
module dtls_srtp.so
module ice.so
module_tmp uuid.so
module_tmp account.so
module_app debug_cmd.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{ctrl}
snd_path {out}
opus_bitrate 48000
""" + "\n".join(o.extra) + "\n"
cfg = out + "/conf"; os.makedirs(cfg, exist_ok=True)
open(cfg + "/config", "w").write(conf); open(cfg + "/contacts", "w").close()
dom = re.sub(r"^sips?:", "", o.register) if o.register else f"{ip}:{int(port) + (1 if o.transport == 'tls' else 0)}"
acc = f"<sip:{user}@{dom};transport={o.transport}>;regint={3600 if o.register else 0};answermode={'auto' if o.answer else 'manual'}"
acc += f";audio_codecs={o.acodec}"
if o.vcodec in ("h264-0", "h265", "vp8", "vp9"): acc += f";video_codecs={o.vcodec[:4].rstrip('-')}"
if o.mediaenc: acc += f";mediaenc={o.mediaenc}"
if o.ice: acc += ";medianat=ice"
if o.password: acc += f";auth_user={user};auth_pass={o.password}"
open(cfg + "/accounts", "w").write(acc + "\n")

log = open(out + "/log.txt", "w")
proc = subprocess.Popen(["baresip", "-4", "-s", "-f", cfg] + (["-v"] if o.verbose else []), stdin=subprocess.PIPE, stdout=log, stderr=log)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
S = dict(id=o.id, set_up_ms=None, closed=None, actions=[], shown=[], sizes=[])
ev = open(out + "/events.jsonl", "w")
sock = None


def connect():
    global sock
    for _ in range(150):
        try:
            sock = socket.create_connection(("127.0.0.1", ctrl)); sock.setblocking(False); return
        except OSError:
            if proc.poll() is not None: raise SystemExit("baresip died, see log.txt")
            time.sleep(.1)
    raise SystemExit("no ctrl_tcp")


buf = b""


def poll():
    """netstrings in: yields decoded JSON"""
    global buf
    try:
        d = sock.recv(65536); buf += d
    except BlockingIOError:
        pass
    while b":" in buf:
        n, rest = buf.split(b":", 1)
        n = int(n)
        if len(rest) < n + 1: break
        m, buf = rest[:n], rest[n+1:]
        j = json.loads(m, strict=False)
        j["t"] = time.time()
        ev.write(json.dumps(j) + "\n"); ev.flush()
        yield j


def cmd(c, params=None, wait=2.0):
    d = {"command": c, "token": c}
    if params is not None: d["params"] = params
    b = json.dumps(d).encode()
    sock.sendall(b"%d:%s," % (len(b), b))
    end = time.time() + wait
    while time.time() < end:
        for j in poll():
            if j.get("response"): return j
            event(j)
        time.sleep(.005)


est = None; t0 = None


def event(j):
    global est
    t = j.get("type")
    if t in ("CALL_INCOMING",) and t0 is None: globals()["t0"] = j["t"]
    if t == "CALL_ESTABLISHED":
        est = est or j["t"]; S["set_up_ms"] = S["set_up_ms"] or round((j["t"] - (t0 or j["t"])) * 1000, 1)
    if t == "CALL_CLOSED": S["closed"] = j.get("param"); S["closed_at"] = j["t"]
    if t in ("CALL_RTPESTAB", "REGISTER_OK", "REGISTER_FAIL", "CALL_DTMF_START"): S.setdefault(t, []).append(j.get("param"))


try:
    connect()
    if o.register: time.sleep(1)
    if o.dial:
        t0 = time.time(); r = cmd("dial", o.dial); S["dial"] = r and r.get("data")
    end = time.time() + o.wait
    while not est and time.time() < end and not S["closed"]:
        for j in poll(): event(j)
        time.sleep(.01)
    acts = sorted((float(x.split(":", 1)[0]), x.split(":", 1)[1]) for x in o.at)
    n, nxt, nst = 0, est or 0, (est or 0) + 1.0
    while est and not S["closed"] and time.time() < est + o.secs:
        now = time.time()
        for j in poll(): event(j)
        if acts and now >= est + acts[0][0]:
            c = acts.pop(0)[1].split(" ", 1); r = cmd(*c)
            S["actions"].append([round(now - est, 2), " ".join(c), r and r.get("ok"), ((r or {}).get("data") or "")[:200]])
        if video and o.snap and now >= nxt:
            cmd("snapshot_recv", f"{out}/snap-{n:04d}.png"); n += 1; nxt += 1 / o.snap
        if now >= nst:
            nst += 1.0
            if video:
                r = cmd("video_debug"); S["video_debug"] = d = (r or {}).get("data") or ""
                m = re.search(r"vidisp: \S+ (\d+) x (\d+) frames=(\d+)\s+n_keyframes=(\d+), n_picup=(\d+)", d)
                if m: S["shown"].append([round(now - est, 2)] + [int(x) for x in m.groups()])   # t w h frames keyframes picture-requests
        time.sleep(.01)
    if est and not S["closed"]:
        r = cmd("audio_debug"); S["audio_debug"] = (r or {}).get("data")
        cmd("hangup"); end = time.time() + 2
        while not S["closed"] and time.time() < end:
            for j in poll(): event(j)
            time.sleep(.01)
        S["closed"] = S["closed"] or "local hangup"
    time.sleep(.3)
finally:
    try:
        if sock: cmd("quit", wait=1)
    except Exception: pass
    try: proc.wait(3)
    except subprocess.TimeoutExpired: proc.kill()
    log.close()

txt = re.sub(r"\x1b\[[\d;]*m", "", open(out + "/log.txt", errors="replace").read())
S["established"] = bool(est); S["established_at"] = est
S["duration_s"] = est and round((S.get("closed_at") or time.time()) - est, 2)
for d in ("audio", "video"):
    m = re.search(r"^%s\s+Transmit:\s+Receive:\s*\npackets:\s+(\d+)\s+(\d+)\s*\navg. bitrate:\s+([\d.]+)\s+([\d.]+).*\nerrors:\s+(\d+)\s+(\d+)" % d, txt, re.M)
    if m: S[d] = dict(tx_packets=int(m[1]), rx_packets=int(m[2]), tx_kbit=float(m[3]), rx_kbit=float(m[4]), tx_err=int(m[5]), rx_err=int(m[6]))
S["sizes"] = re.findall(r"receiving with resolution (\d+ x \d+)", txt)
S["decode_errors"] = len(re.findall(r"decode error|lost \d+ packets|No video decoder", txt))
S["negotiated"] = re.findall(r"Set (?:audio|video) (?:de|en)coder: ([^\n(]+)", txt)
# sndfile starts a new file at every (re)start of the audio stream: joined here when of one format
w = sorted(glob.glob(out + "/dump-*-dec.wav"))
if w:
    S["recv_wav_files"] = [os.path.basename(x) for x in w]
    with wave.open(out + "/recv.wav", "wb") as wo:
        prm = None
        for x in w:
            try:
                with wave.open(x) as wi:
                    if prm is None: prm = wi.getparams()[:3]; wo.setnchannels(prm[0]); wo.setsampwidth(prm[1]); wo.setframerate(prm[2])
                    if wi.getparams()[:3] == prm: wo.writeframes(wi.readframes(wi.getnframes()))
            except (wave.Error, EOFError): pass
S["efps"] = sorted(set((float(x), float(y)) for x, y in re.findall(r"efps=([\d.]+)/([\d.]+)", txt)))[-12:]   # tx/rx, of 5 s windows
if len(S["shown"]) > 2:
    p, q = S["shown"][0], S["shown"][-1]
    S["rx_fps_shown"] = round((q[3] - p[3]) / (q[0] - p[0]), 2)
S["snaps"] = len(glob.glob(out + "/snap-*.png"))
json.dump(S, open(out + "/summary.json", "w"), indent=1)
print(json.dumps({k: v for k, v in S.items() if not k.endswith("_debug")}, indent=None))
sys.exit(0 if est else 1)
