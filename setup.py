"""Which packages the wheel has: the library, and `flows/` as `fauxscan_flows`, a name that no other project uses."""

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel


class InstallInPlace(editable_wheel):
    """Installs a clone in place. There, `flows` can be imported by that name too, as the deployments name it."""

    def run(self) -> None:
        """Add `flows` to the packages, and install them."""
        self.distribution.packages.append("flows")
        super().run()


setup(
    packages=[*find_packages("src"), "fauxscan_flows"],
    package_dir={"": "src", "fauxscan_flows": "flows", "flows": "flows"},
    cmdclass={"editable_wheel": InstallInPlace},
)
