#!/usr/bin/env python3
"""lin.py - run one headless linphonec 5.1.65 as a test endpoint.

lin.py --id N [--dial sip:ROOM@HOST:PORT | --answer] --secs S --out DIR
  --port 16200+10*id   --vcodec h264|vp8|none|both   --acodec opus|pcmu|pcma|speex...(one, or 'all')
  --mediaenc srtp|zrtp|dtls   --at SEC:LINPHONEC-COMMAND (e.g. 3:1 = DTMF 1, 5:pause, 7:resume, 'camera off')
  --snap HZ
Sends tone N (wav) and a still picture of colour N; linphonec sends it about once a second whatever
'staticpic fps' says; --live changes it every second, so that the counter runs at 1 a second.
Leaves DIR/recv.wav, DIR/snap-*.jpg -> .png, DIR/log.txt, DIR/summary.json
"""
import tempfile, argparse, json, os, re, subprocess, sys, time, threading, glob
p = argparse.ArgumentParser(); a = p.add_argument
a("--id", type=int, default=5); a("--dial"); a("--answer", action="store_true"); a("--secs", type=float, default=10)
a("--out", required=True); a("--port", type=int); a("--rtp", type=int); a("--vcodec", default="both"); a("--acodec", default="all")
a("--mediaenc"); a("--at", action="append", default=[]); a("--snap", type=float, default=1); a("--fps", type=int, default=15)
a("--pat", default=os.path.join(tempfile.gettempdir(), "patterns")); a("--wait", type=float, default=15); a("--rc", action="append", default=[])
a("--live", action="store_true"); a("--audio-first", action="store_true", help="dial without video, add it with --at SEC:camera on"); a("--transport", default="udp"); a("--display", default="MSAnalyseDisplay"); a("--rec", default=None)
o = p.parse_args()
out = os.path.abspath(o.out); os.makedirs(out + "/home/.local/share/linphone", exist_ok=True)
for f in glob.glob(out + "/snap*") + glob.glob(out + "/*.wav"): os.remove(f)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
port = o.port or 16200 + 10 * o.id
from mkpat import frame, tone
import cv2, wave, numpy as np
pic = out + "/pic.jpg"
cv2.imwrite(pic, cv2.cvtColor(frame(o.id, 1, 640, 480), cv2.COLOR_RGB2BGR))
with wave.open(out + "/send.wav", "wb") as w:          # one channel: linphone's file player
    w.setnchannels(1); w.setsampwidth(2); w.setframerate(48000); w.writeframes(tone(o.id, o.secs + 20).tobytes())
vid = o.vcodec != "none"
rc = f"""[sip]
sip_port={port if o.transport == 'udp' else 0}
sip_tcp_port={port if o.transport == 'tcp' else 0}
sip_tls_port={port if o.transport == 'tls' else 0}
verify_server_certs=0
verify_server_cn=0
guess_hostname=0
contact="ep{o.id}" <sip:ep{o.id}@127.0.0.1>
default_proxy=-1
bind_address=127.0.0.1
use_ipv6=0
ipv6_migration_done=1
media_encryption={o.mediaenc or 'none'}
[net]
firewall_policy=0
[rtp]
audio_rtp_port={o.rtp or 21000 + 20*o.id}
video_rtp_port={(o.rtp or 21000 + 20*o.id) + 10}
[misc]
log_collection_upload_server_url=
[video]
displaytype={o.display}
device=StaticImage: Static picture
size=vga
capture={int(vid)}
display={int(vid)}
automatically_initiate={int(vid)}
automatically_accept={int(vid)}
[codec_dummy]
""" + "\n".join(o.rc) + "\n"
open(out + "/rc", "w").write(rc)
log = open(out + "/log.txt", "w")
env = dict(os.environ, HOME=out + "/home")
cmdl = ["linphonec", "-c", out + "/rc", "-d", "4", "-l", out + "/debug.txt"] + (["-V"] if vid else []) + (["-a"] if o.answer else [])
pr = subprocess.Popen(cmdl, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True, bufsize=1, errors="replace", cwd=out)
lines = []


def rd():
    for l in pr.stdout:
        lines.append((time.time(), l)); log.write(f"{time.time():.3f} {l}"); log.flush()


threading.Thread(target=rd, daemon=True).start()


def cmd(c, w=.15):
    n = len(lines); pr.stdin.write(c + "\n"); pr.stdin.flush(); time.sleep(w)
    return "".join(l for _, l in lines[n:])


def seen(rx, since=0):
    for t, l in lines[since:]:
        m = re.search(rx, l)
        if m: return t
    return None


S = dict(id=o.id, established=False, actions=[])
time.sleep(1)
cmd("soundcard use files"); cmd(f"play {out}/send.wav"); cmd(f"record {out}/recv.wav")
if vid:
    cmd(f"staticpic set {pic}"); cmd(f"staticpic fps {o.fps}")
    v = cmd("vcodec list")
    for k, name in re.findall(r"(\d+): (\S+) \(90000\)", v):
        want = o.vcodec == "both" or o.vcodec.lower() == name.lower()
        cmd(f"vcodec {'enable' if want else 'disable'} {k}", .05)
if o.acodec != "all":
    for k, name, r in re.findall(r"(\d+): (\S+) \((\d+)\)", cmd("codec list", .3)):
        cmd(f"codec {'enable' if name.lower() == o.acodec.lower() else 'disable'} {k}", .05)
t0 = time.time()
if o.dial: cmd(f"call {o.dial}" + (" --audio-only" if o.audio_first else ""), .05)
est = None
while time.time() < t0 + o.wait and not est:
    est = seen(r"Media streams established|Connected\.|Call \d+ with .* connected")
    if seen(r"Call \d+ .*(ended|error|declined)|Couldn't|Not found"): break
    time.sleep(.02)
end = None
if est:
    S["established"] = True; S["established_at"] = est; S["set_up_ms"] = round((est - t0) * 1000, 1)
    acts = sorted((float(x.split(":", 1)[0]), x.split(":", 1)[1]) for x in o.at); n = 0; nxt = est + 1; lv = 0
    while time.time() < est + o.secs:
        now = time.time()
        if acts and now > est + acts[0][0]:
            c = acts.pop(0)[1]; S["actions"].append([round(now - est, 2), c, cmd(c).strip()[-150:]])
        if vid and o.snap and now >= nxt:
            cmd(f"snapshot {out}/snap-{n:04d}.jpg", .02); n += 1; nxt += 1 / o.snap
        if vid and o.live and int(now - est) > lv:
            lv = int(now - est); f = f"{out}/live{lv}.jpg"
            cv2.imwrite(f, cv2.cvtColor(frame(o.id, lv, 640, 480), cv2.COLOR_RGB2BGR)); cmd(f"staticpic set {f}", .02)
        end = seen(r"Call \d+ with .* ended|Call terminated|Call ended")
        if end: break
        time.sleep(.02)
    S["duration_s"] = round((end or time.time()) - est, 2)
    S["status"] = cmd("calls", .3)[-400:]
    if not end: cmd("terminate", .8)
cmd("quit", .5)
try: pr.wait(5)
except subprocess.TimeoutExpired: pr.kill()
for f in glob.glob(out + "/snap-*.jpg"):
    im = cv2.imread(f)
    if im is not None: cv2.imwrite(f[:-3] + "png", im); os.utime(f[:-3] + "png", (os.path.getmtime(f),) * 2)
S["snaps"] = len(glob.glob(out + "/snap-*.png"))
try:
    d = open(out + "/debug.txt", errors="replace").read()
    S["codecs"] = sorted(set(re.findall(r"(?:Payload type|payload type|using payload|mime)[ :=\[]+([A-Za-z0-9]+/\d+)", d)))[:8]
    S["fps_stats"] = re.findall(r"(?:received|recv|send|configured)[^\n]*fps[^\n]{0,60}", d, re.I)[-6:]
except OSError: pass
json.dump(S, open(out + "/summary.json", "w"), indent=1); print(json.dumps(S))
sys.exit(0 if est else 1)
