"""The compiled part; all else stands in pyproject.toml.

It is optional: where there is no compiler, or no interpreter lock, the installation goes on without it. One
build serves all versions of CPython from 3.11 on (the stable ABI).
"""

import sys
import sysconfig

from setuptools import Extension, setup

is_wanted = (
    sys.platform == "linux"
    and sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
native = Extension("jobspan._native", ["src/jobspan/_native.c"], py_limited_api=True, optional=True)

if is_wanted:
    setup(ext_modules=[native], options={"bdist_wheel": {"py_limited_api": "cp311"}})
else:  # setuptools refuses that option where there is no lock
    setup()
