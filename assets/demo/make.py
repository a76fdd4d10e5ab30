#!/usr/bin/env python3
"""make.py SOURCES – makes the six sites of `cau demo` beside itself from free clips (NOTICE.md).

SOURCES is the folder `media` of the shared test data (openh264-res, people, speech).
Needs ffmpeg with libx264 and rubberband, and Python with numpy and opencv-python-headless.

Each site gets NAME.h264 (constrained baseline, 1280x720, 30 frames/s, a key frame every second, slices of at most
1200 bytes so that packetization modes 0 and 1 both can send it, a loop of 8 or 9 s) and NAME.wav (16 kHz mono, what is said
there when it is that site's turn)."""
import json, math, os, subprocess, sys, tempfile, wave
import cv2
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
W, H, FPS, SECS = 1280, 720, 30, 8

# file, picture source, how it is looped, filter, speech files, pitch
SITES = [
    ("ha-noi", "Điểm cầu Hà Nội", "openh264-res/Zhling_1280x720.264", dict(rate=6, sway=(1, 3)), None,
     ["sense_and_sensibility_01_austen_64kb-0870"], 1.0),
    ("dak-lak", "Tỉnh Đắk Lắk", "openh264-res/CiscoVT2people_320x192_12fps.yuv", dict(rate=5, sway=(1, 2)), "crop=320:180:0:0",
     ["sense_and_sensibility_01_austen_64kb-0890"], 0.80),
    ("buon-ma-thuot", "Thành phố Buôn Ma Thuột", "openh264-res/Cisco_Men_whisper_640x320_CAVLC_Bframe_9.264", dict(rate=5, sway=(2, 3)),
     "crop=568:320:20:0,eq=brightness=0.06:gamma=1.25", ["sense_and_sensibility_01_austen_64kb-0920"], 0.74),
    ("hoa-phu", "Xã Hòa Phú", "people/opencv-vtest.avi", dict(rate=10, start=2.0), "crop=768:432:0:50",
     ["sense_and_sensibility_01_austen_64kb-0930", "sense_and_sensibility_01_austen_64kb-0880"], 1.10),
    ("o-cho-dua", "Phường Ô Chợ Dừa", "openh264-res/VID_1920x1080_cavlc_temporal_direct.264", dict(rate=12, start=0.0, repeat=2), None,
     ["005", "003", "002"], 1.0),
    ("ly-son", "Huyện đảo Lý Sơn", "openh264-res/VID_1280x720_cavlc_temporal_direct.264", dict(rate=30, start=0.0), None,
     ["sense_and_sensibility_01_austen_64kb-0880", "sense_and_sensibility_01_austen_64kb-0870"], 0.88),
]


def frames(path, rate, vf):
    """every picture of the source at `rate` pictures a second, motion-interpolated to 30"""
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "320x192"] if path.endswith(".yuv") else []
    chain = ",".join(filter(None, [vf, f"scale={W}:{H}:flags=lanczos", f"setpts=N/{rate}/TB",
                                   f"minterpolate=fps={FPS}:mi_mode=mci:mc_mode=aobmc:vsbmc=1:scd=none" if rate < FPS else ""]))
    p = subprocess.run(["ffmpeg", "-v", "error", *raw, *(["-r", str(rate)] if raw or path.endswith("264") else []), "-i", path,
                        "-vf", chain, "-t", "14", "-r", str(FPS), "-f", "rawvideo", "-pix_fmt", "bgr24", "-"], stdout=subprocess.PIPE, check=True)
    return np.frombuffer(p.stdout, np.uint8).reshape(-1, H, W, 3)


def sway(f, cycles):
    """a short clip becomes a long one: its pictures are walked to and fro, slow and fast, without a seam"""
    n = SECS * FPS
    t = np.arange(n) / n * 2 * math.pi
    a, b = cycles
    x = 0.5 - 0.32 * np.cos(a * t) - 0.18 * np.cos(b * t)
    x = (x - x.min()) / (x.max() - x.min()) * (len(f) - 1)
    for v in x:
        i = min(int(v), len(f) - 2)
        yield cv2.addWeighted(f[i], 1 - (v - i), f[i + 1], v - i, 0)


def loop(f, start, repeat=1, fade=0.6):
    """a long clip: cut, and its end faded into its beginning"""
    n, k, s = SECS * FPS // repeat, int(fade * FPS), int(start * FPS)
    n = min(n, len(f) - s - k)
    for _ in range(repeat):
        for i in range(n):
            w = min(1.0, i / k)
            yield f[s + i] if w == 1 else cv2.addWeighted(f[s + i], w, f[s + i + n], 1 - w, 0)


def video(out, src, how, vf):
    f = frames(src, how["rate"], vf)
    pics = sway(f, how["sway"]) if "sway" in how else loop(f, how["start"], how.get("repeat", 1))
    p = subprocess.Popen(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{W}x{H}", "-r", str(FPS), "-i", "-",
                          "-c:v", "libx264", "-preset", "slow", "-profile:v", "baseline", "-level", "3.1", "-pix_fmt", "yuv420p",
                          "-b:v", "1000k", "-maxrate", "1000k", "-bufsize", "600k",
                          "-x264-params", f"keyint={FPS}:min-keyint={FPS}:scenecut=0:bframes=0:slice-max-size=1200:aud=0:repeat-headers=1:nal-hrd=none",
                          "-f", "h264", out], stdin=subprocess.PIPE)
    n = 0
    for x in pics:
        p.stdin.write(np.ascontiguousarray(x).tobytes()); n += 1
    p.stdin.close()
    if p.wait(): raise SystemExit("ffmpeg failed")
    return n


def voice(out, files, pitch):
    x = []
    for fn in files:
        with wave.open(fn) as w:
            x += [np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(float), np.zeros(3200)]
    with tempfile.TemporaryDirectory() as t:
        save(t + "/a.wav", np.concatenate(x))
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", t + "/a.wav", "-af", f"rubberband=pitch={pitch}", "-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", t + "/b.wav"], check=True)
        with wave.open(t + "/b.wav") as w:
            s = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype(float)
    loud = s[np.abs(s) > 300]
    s *= 3000 / np.sqrt((loud ** 2).mean())                    # speech at about -21 dBFS
    s = np.clip(s[: 16000 * 15 // 2], -30000, 30000)
    s[-800:] *= np.linspace(1, 0, 800)
    save(out, s)
    return len(s) / 16000


def save(fn, s):
    with wave.open(fn, "wb") as w:
        w.setnchannels(1); w.setsampwidth(2); w.setframerate(16000)
        w.writeframes(s.astype("<i2").tobytes())


def main():
    media = sys.argv[1]
    rows = []
    for name, title, src, how, vf, said, pitch in SITES:
        n = video(f"{HERE}/{name}.h264", f"{media}/{src}", how, vf)
        secs = voice(f"{HERE}/{name}.wav", [f"{media}/speech/pocketsphinx-{s}.wav" for s in said], pitch)
        rows.append(dict(file=name, name=title, frames=n, fps=FPS, speech_s=round(secs, 2)))
        print(rows[-1], os.path.getsize(f"{HERE}/{name}.h264"))
    json.dump(rows, open(f"{HERE}/sites.json", "w"), ensure_ascii=False, indent=1)


main()
