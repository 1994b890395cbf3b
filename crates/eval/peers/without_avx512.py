"""For gdb: runs a Python program whose ONNX Runtime is told that the processor has no AVX-512; see README.md.

    gdb -batch -x without_avx512.py --args PYTHON SCRIPT ...

Every `cpuid` of the library gets a breakpoint; when one is met, the answer is changed as if the operating system had masked
AVX-512 (and AVX-VNNI with AVX_VNNI=off in the environment). Nothing is slowed down once the library has asked.
"""

import os
import re
import subprocess

import gdb

#: Bits of leaf 7: (sub-leaf, register) -> the bits of AVX-512.
AVX512 = {(0, "rbx"): (16, 17, 21, 28, 30, 31), (0, "rcx"): (1, 6, 11, 12, 14), (0, "rdx"): (8, 23), (1, "rax"): (5,)}
AVX_VNNI = (1, "rax"), 4


def value(register):
    return int(gdb.parse_and_eval(f"(unsigned long)${register}")) & 0xFFFFFFFF


def answer():
    """Lets the instruction at hand run and changes what it says."""
    leaf, part = value("rax"), value("rcx")
    gdb.execute("stepi", to_string=True)
    if leaf != 7:
        return
    masks = dict(AVX512)
    if os.environ.get("AVX_VNNI") == "off":
        masks[AVX_VNNI[0]] = masks.get(AVX_VNNI[0], ()) + (AVX_VNNI[1],)
    for (sub_leaf, register), bits in masks.items():
        if sub_leaf == part:
            kept = value(register) & ~sum(1 << bit for bit in bits)
            gdb.execute(f"set ${register} = {kept}", to_string=True)


def addresses(path):
    listing = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True)
    return [int(found[1], 16) for found in re.finditer(r"^\s*([0-9a-f]+):\s+cpuid", listing.stdout, re.M)]


def library():
    """Where ONNX Runtime lies in memory and as a file, or None before it is loaded."""
    pid = gdb.selected_inferior().pid
    if pid == 0:
        raise SystemExit("the program ended before it loaded ONNX Runtime")
    for line in open(f"/proc/{pid}/maps", encoding="utf-8"):
        found = re.search(r"/\S*onnxruntime_pybind11_state\S*\.so$", line)
        if found:
            return int(line.split("-")[0], 16), found[0]
    return None


def main():
    for setting in ("pagination off", "confirm off", "stop-on-solib-events 1", "print thread-events off", "auto-solib-add off",
                    "startup-with-shell off"):
        gdb.execute(f"set {setting}", to_string=True)
    gdb.execute("run", to_string=True)
    while not (found := library()):
        gdb.execute("continue", to_string=True)
    gdb.execute("set stop-on-solib-events 0", to_string=True)
    start, path = found
    for address in addresses(path):
        gdb.Breakpoint(f"*{start + address:#x}")
    n_met = 0
    while gdb.selected_inferior().pid:
        gdb.execute("continue", to_string=True)
        if gdb.selected_inferior().pid:
            n_met += 1
            answer()
    print(f"{n_met} answers about the processor were looked at")


main()
