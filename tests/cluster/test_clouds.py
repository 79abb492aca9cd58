"""Clusters of foreign classes: a LocalCluster for real, EC2 with moto in Amazon's place and processes for machines."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster.outside import free_port

from jupyter_sweep import Float, Space, run
from jupyter_sweep.errors import Mistakes, SweepError
from jupyter_sweep.executors import clusters

REGION = "eu-central-1"
EC2 = "class:dask_cloudprovider.aws.EC2Cluster"
LOCAL = "class:distributed.LocalCluster"
IMAGE = "me/lab:3.11"


def parabola(x: float) -> float:
    return (x - 1) ** 2


# -- a class that is here ---------------------------------------------------------------------------------------------


def test_a_sweep_runs_on_a_cluster_of_a_class_and_ends_it(home: Path, nothing_left: None) -> None:
    lines = ["[profiles.own]", f'on = "{LOCAL}"', "workers = 1", "threads_per_worker = 2", "n_workers = 0"]
    (home.parent / "sweeps.toml").write_text("\n".join([*lines, 'dashboard_address = "127.0.0.1:0"']))
    handle = run(parabola, Space(x=Float(0, 2)), name="a", min="loss", algo="random", n=4, on="own")
    assert handle.counts == {"completed": 4}
    assert handle.definition.executor.name == "own"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_wokers": 3}, r"LocalCluster has no option 'n_wokers'. Did you mean 'n_workers'\?"),
        ({"workers": 0}, "workers wants a whole number from 1, got 0"),
        ({"workers": 2, "adapt": {"maximum": 3}}, "workers and adapt exclude each other"),
        ({"idle": "5 parsec"}, "idle wants a duration"),
    ],
)
def test_an_option_that_neither_we_nor_the_class_have_is_a_mistake(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SweepError, match=said):
        clusters.check(clusters.parse("own", {"on": LOCAL, **options}))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("class:nowhere_at_all.Cluster", "'nowhere_at_all' is not installed. Install it with: pip install"),
        ("class:distributed.LocalClutser", "Did you mean 'LocalCluster'"),
        ("class:os.path", "os has no class 'path'"),
    ],
)
def test_a_class_that_can_not_be_had_says_why(word: str, said: str) -> None:
    with pytest.raises(SweepError, match=said):
        clusters.check(clusters.parse(word))


def test_a_dry_run_shows_what_the_class_would_be_given() -> None:
    told = clusters.describe(clusters.parse("own", {"on": LOCAL, "workers": 3, "n_workers": 0}))
    assert "distributed.LocalCluster" in told
    assert "3 workers" in told
    assert "n_workers = 0" in told


# -- EC2 --------------------------------------------------------------------------------------------------------------


class Cloud:
    """Amazon, as far as moto is it. `machines` are the processes that run in place of the instances."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        self.api = boto3.client("ec2", region_name=REGION, endpoint_url=endpoint)
        vpc = self.api.describe_vpcs()["Vpcs"][0]["VpcId"]
        net = [{"Name": "vpc-id", "Values": [vpc]}]
        self.options: dict[str, Any] = {
            "on": EC2,
            "region": REGION,
            "vpc": vpc,
            "subnet_id": self.api.describe_subnets(Filters=net)["Subnets"][0]["SubnetId"],
            "security_groups": [self.api.describe_security_groups(Filters=net)["SecurityGroups"][0]["GroupId"]],
            "ami": "ami-12c6146b",
            "docker_image": IMAGE,
            "instance_type": "g5.xlarge",
            "security": False,
        }
        self.machines: list[subprocess.Popen[bytes]] = []

    def instances(self) -> list[dict[str, Any]]:
        found = self.api.describe_instances()["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def states(self) -> list[str]:
        return [instance["State"]["Name"] for instance in self.instances()]

    def boot(self, *command: str) -> None:
        line = [sys.executable, "-m", *command]
        self.machines.append(subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


@pytest.fixture(scope="module")
def amazon() -> Iterator[str]:
    """The address of a moto server."""
    pytest.importorskip("dask_cloudprovider.aws", reason="dask-cloudprovider[aws] is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(amazon: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Amazon without instances, and found by everybody here."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", amazon)
    urllib.request.urlopen(urllib.request.Request(f"{amazon}/moto-api/reset", method="POST"), timeout=60).close()
    made = Cloud(amazon)
    yield made
    for machine in made.machines:
        machine.kill()
        machine.wait()


def machines_are_processes(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, *, workers: bool = True) -> None:
    """Have a process run here for each instance that is created, and the instance be found at 127.0.0.1."""
    from dask_cloudprovider.aws import ec2

    configure = ec2.EC2Instance.configure_vm

    async def boot(self: Any, client: Any) -> tuple[str, None]:
        await configure(self, client)
        if isinstance(self, ec2.EC2Scheduler):
            where = ("--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", "127.0.0.1:0")
            cloud.boot("distributed.cli.dask_scheduler", *where)
        elif workers:
            cloud.boot("distributed.cli.dask_worker", self.scheduler, "--name", self.name, "--nthreads", "2")
        return "127.0.0.1", None

    monkeypatch.setattr(ec2.EC2Instance, "configure_vm", boot)


def test_instances_are_made_as_the_profile_says_and_end_with_the_sweeps_driver(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines_are_processes(cloud, monkeypatch)
    options = {**cloud.options, "workers": 1, "scheduler_options": {"port": free_port()}}
    made = clusters.start(clusters.parse("ec2", options), None)
    try:
        assert (made.slots(), made.client.submit(sum, [1, 2]).result(timeout=60)) == (2, 3)
        assert {i["InstanceType"] for i in cloud.instances()} == {"g5.xlarge"}
        assert cloud.states() == ["running", "running"]
        scheduler = cloud.instances()[0]["InstanceId"]
        data = cloud.api.describe_instance_attribute(InstanceId=scheduler, Attribute="userData")["UserData"]["Value"]
        assert IMAGE in decoded(data)
    finally:
        made.close()
    assert cloud.states() == ["terminated", "terminated"]


def test_a_start_whose_machine_never_answers_has_a_limit_and_leaves_no_instance(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask_cloudprovider.aws import ec2

    configure = ec2.EC2Instance.configure_vm

    async def dead(self: Any, client: Any) -> tuple[str, None]:
        await configure(self, client)
        return "127.0.0.1", None

    monkeypatch.setattr(ec2.EC2Instance, "configure_vm", dead)
    options = {**cloud.options, "start_within": "8s", "scheduler_options": {"port": free_port()}}
    with pytest.raises(SweepError, match="no cluster after 8 s"):
        clusters.start(clusters.parse("ec2", options), None)
    assert cloud.states() == ["terminated"]


def test_workers_that_never_come_have_a_limit_and_leave_no_instance(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines_are_processes(cloud, monkeypatch, workers=False)
    options = {**cloud.options, "workers": 1, "start_within": "20s", "scheduler_options": {"port": free_port()}}
    with pytest.raises(SweepError, match=r"\(start_within\)"):
        clusters.start(clusters.parse("ec2", options), None)
    assert set(cloud.states()) == {"terminated"}


def test_what_amazon_refuses_is_one_message(cloud: Cloud) -> None:
    with pytest.raises(SweepError, match="subnet-nowhere"):
        clusters.start(clusters.parse("ec2", {**cloud.options, "subnet_id": "subnet-nowhere"}), None)
    assert cloud.states() == []


def test_an_option_that_ec2_has_not_is_a_mistake_before_anything_is_made(cloud: Cloud) -> None:
    options = {**cloud.options, "instanse_type": "t3.micro", "dokcer_image": "x"}
    with pytest.raises(Mistakes) as caught:
        clusters.check(clusters.parse("ec2", options))
    assert ["instance_type" in str(m) or "docker_image" in str(m) for m in caught.value.mistakes] == [True, True]
    assert cloud.states() == []


def decoded(data: str) -> str:
    """Give cloud-init's text, which comes in base64 once or twice."""
    import base64

    for _ in range(2):
        with contextlib.suppress(ValueError, UnicodeDecodeError):
            data = base64.b64decode(data, validate=True).decode()
    return data
