import sys

if sys.version_info < (3, 9):
    sys.stderr.write("Flow needs Python 3.9 or newer, and `%s` is %s\n" % (sys.executable, sys.version.split()[0]))
    sys.exit(1)

# Nothing of a task's own is on the path yet: no file of it can take the place of what is imported here.
import _flow_runner

_flow_runner.main()
