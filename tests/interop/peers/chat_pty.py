"""Runs a command in a pseudo-terminal: stdin is its keyboard, stdout its screen. Ends with the command's exit code, and says
on stderr how it left the terminal. usage: chat_pty.py COLUMNS COMMAND..."""
import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])

sources = [0, terminal]
while True:
    ready = select.select(sources, [], [])[0]
    if 0 in ready:
        keys = os.read(0, 4096)
        if keys:
            os.write(terminal, keys)
        else:
            sources.remove(0)
    if terminal in ready:
        try:
            shown = os.read(terminal, 4096)
        except OSError:  # the command has ended
            shown = b""
        if not shown:
            break
        os.write(1, shown)

modes = termios.tcgetattr(terminal)[3]
print("as it was" if modes & termios.ICANON and modes & termios.ECHO else "changed", file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
