"""Puts the dashboard, which lies outside the package in the checkout, into the wheel."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = (ROOT / "results" / "default.txt").read_text(encoding="utf-8").strip()
#: Folders and files of the checkout that are `fer_bench/dashboard` once installed.
DASHBOARD = ("app.py", "pages", "assets", ".streamlit/config.toml", "results/default.txt")


def dashboard_files() -> list[str]:
    """Paths from the checkout on."""
    roots = [ROOT / name for name in (*DASHBOARD, f"results/{SHIPPED}")]
    paths = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*"))]
    files = [path for path in paths if path.is_file() and "__pycache__" not in path.parts]
    return [path.relative_to(ROOT).as_posix() for path in files]


class BuildWithDashboard(build_py):
    """Adds these files to the package's; an editable install finds them in the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for name in dashboard_files():
            target = Path(self.build_lib) / "fer_bench" / "dashboard" / name
            self.mkpath(str(target.parent))
            self.copy_file(str(ROOT / name), str(target))


setup(cmdclass={"build_py": BuildWithDashboard})
