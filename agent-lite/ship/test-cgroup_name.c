/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/ship/cgroup_name.h"

#include "base/testing.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID "5f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"
#define SYSTEMD_UID "5f1a2b3c_4d5e_6f70_8192_a3b4c5d6e7f8"
#define STATIC_UID "c0ffee00c0ffee00c0ffee00c0ffee00"

/* Paths as they are met; where from is said beside them. */
static const struct {
	const char *text, *container, *pod, *unit;
} cases[] = {
	/* docker, cgroupfs driver; then v1 */
	{"0::/docker/" ID "\n", ID, "", ""},
	{"12:memory:/docker/" ID "\n1:name=systemd:/docker/" ID "\n0::/system.slice/docker.service\n",
	 ID, "", ""},
	/* docker, systemd driver; rootless */
	{"0::/system.slice/docker-" ID ".scope\n", ID, "", ""},
	{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope\n", ID, "",
	 ""},
	/* docker in docker: the inner one */
	{"0::/docker/" OTHER_ID "/docker/" ID "\n", ID, "", ""},
	/* podman, with the sub-group that it makes for the payload; its monitor */
	{"0::/machine.slice/libpod-" ID ".scope/container\n", ID, "", ""},
	{"0::/machine.slice/libpod-conmon-" ID ".scope\n", "", "", ""},
	{"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n", ID, "",
	 ""},
	{"0::/libpod_parent/libpod-" ID "\n", ID, "", ""},
	{"0::/machine.slice/machine-libpod_pod_" OTHER_ID ".slice/libpod-" ID ".scope\n", ID, "", ""},
	/* kubelet, cgroupfs driver, the three QoS classes */
	{"0::/kubepods/besteffort/pod" UID "/" ID "\n", ID, UID, ""},
	{"0::/kubepods/burstable/pod" UID "/" ID "\n", ID, UID, ""},
	{"0::/kubepods/pod" UID "/" ID "\n", ID, UID, ""},
	/* kubelet, systemd driver: containerd, CRI-O, docker */
	{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" SYSTEMD_UID
	 ".slice/cri-containerd-" ID ".scope\n",
	 ID, UID, ""},
	{"0::/kubepods.slice/kubepods-pod" SYSTEMD_UID ".slice/crio-" ID ".scope\n", ID, UID, ""},
	{"0::/kubepods.slice/kubepods-pod" SYSTEMD_UID ".slice/crio-" ID ".scope/container\n", ID, UID,
	 ""},
	{"0::/kubepods.slice/kubepods-pod" SYSTEMD_UID ".slice/crio-conmon-" ID ".scope\n", "", UID,
	 ""},
	{"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" SYSTEMD_UID
	 ".slice/docker-" ID ".scope\n",
	 ID, UID, ""},
	/* a static pod: its UID is a digest of the manifest */
	{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" STATIC_UID
	 ".slice/cri-containerd-" ID ".scope\n",
	 ID, STATIC_UID, ""},
	/* kind */
	{"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	 "kubelet-kubepods-besteffort-pod" SYSTEMD_UID ".slice/cri-containerd-" ID ".scope\n",
	 ID, UID, ""},
	{"0::/docker/" OTHER_ID "/kubelet/kubepods/pod" UID "/" ID "\n", ID, UID, ""},
	/* containerd told to use the wrong driver */
	{"0::/system.slice/containerd.service/kubepods-burstable-pod" SYSTEMD_UID
	 ".slice:cri-containerd:" ID "\n",
	 ID, UID, ""},
	/* v1 of Kubernetes, in the order in which the kernel lists it */
	{"11:devices:/kubepods/burstable/pod" UID "/" ID "\n10:memory:/kubepods/burstable/pod" UID
	 "/" ID "\n1:name=systemd:/kubepods/burstable/pod" UID "/" ID "\n",
	 ID, UID, ""},
	/* seen from within another cgroup namespace */
	{"0::/../../pod" UID "/" ID "\n", ID, UID, ""},
	{"0::/../cri-containerd-" ID ".scope\n", ID, "", ""},
	/* ECS on EC2, on Fargate */
	{"0::/ecs/" STATIC_UID "/" ID "\n", ID, "", ""},
	{"0::/ecs/" STATIC_UID "/" STATIC_UID "-1234567890\n", STATIC_UID "-1234567890", "", ""},
	/* LXC, LXD */
	{"0::/lxc.payload.web-1/system.slice/nginx.service\n", "web-1", "", ""},
	{"4:memory:/lxc/web.1/user.slice\n", "web.1", "", ""},
	{"0::/lxc.monitor.web-1\n", "", "", ""},
	/* systemd */
	{"0::/system.slice/nginx.service\n", "", "", "nginx.service"},
	{"0::/system.slice/system-getty.slice/getty@tty1.service\n", "", "", "getty@tty1.service"},
	{"0::/system.slice/k3s.service/worker\n", "", "", "k3s.service"},
	{"1:name=systemd:/system.slice/nginx.service\n0::/\n", "", "", "nginx.service"},
	{"5:cpu:/limits\n1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", "", "",
	 "b.service"},
	{"0::/user.slice/user-1000.slice/session-3.scope\n", "", "", ""},
	{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/pipewire.service\n", "", "",
	 "pipewire.service"},
	{"0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "", "", ""},
	{"0::/init.scope\n", "", "", ""},
	/* nothing of it */
	{"0::/\n", "", "", ""},
	{"", "", "", ""},
	{"nonsense\n::\n0::\n", "", "", ""},
	/* nearly, but not: 63 and 65 digits, a digit that is none, glued to a word */
	{"0::/docker/123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", "", "", ""},
	{"0::/docker/00123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", "", "", ""},
	{"0::/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", "", "", ""},
	{"0::/dockerx" ID "\n", "", "", ""},
	{"0::/kubepods/xpod" UID "\n", "", "", ""},
	{"0::/kubepods/pod5f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7fg\n", "", "", ""},
	{"0::/kubepods/pod5f1a2b3c-4d5e-6f70-81920a3b4c5d6e7f8\n", "", "", ""},
	{"0::/lxc/a b\n", "", "", ""},
	/* upper case is the same container */
	{"0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n", ID, "", ""},
};

static void paths_tell_containers_pods_and_units(void **state)
{
	(void)state;
	for (size_t i = 0; i < countof(cases); i++) {
		struct cgroup_name n;

		cgroup_name_parse(str_from(cases[i].text), &n);
		if (strcmp(n.container_id, cases[i].container) != 0 ||
		    strcmp(n.pod_uid, cases[i].pod) != 0 ||
		    strcmp(n.systemd_unit, cases[i].unit) != 0)
			fail_msg("%s: container '%s', pod '%s', unit '%s'", cases[i].text,
				 n.container_id, n.pod_uid, n.systemd_unit);
	}
}

static void the_path_is_the_one_that_told_most(void **state)
{
	struct cgroup_name n;

	(void)state;
	cgroup_name_parse(STR("4:memory:/a/b\n1:name=systemd:/\n0::/\n"), &n);
	assert_string_equal(n.path, "/a/b");
	cgroup_name_parse(STR("0::/user.slice\n4:memory:/docker/" ID "\n"), &n);
	assert_string_equal(n.path, "/docker/" ID);
	cgroup_name_parse(STR("0::/\n"), &n);
	assert_string_equal(n.path, "/");
}

static void long_and_many_are_cut(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	struct cgroup_name n;

	(void)state;
	buf_puts(&b, "0::");
	for (int i = 0; i < 2000; i++)
		buf_puts(&b, "/deep");
	buf_puts(&b, "/docker-" ID ".scope\n");
	cgroup_name_parse(buf_str(&b), &n);
	assert_int_equal(strlen(n.path), CGROUP_PATH_SIZE - 1);
	assert_string_equal(n.container_id, "");
	buf_clear(&b);
	for (int i = 0; i < 5000; i++)
		buf_puts(&b, "7:x:/y\n");
	buf_puts(&b, "0::/docker/" ID "\n");
	cgroup_name_parse(buf_str(&b), &n);
	assert_string_equal(n.path, "/y");
	buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_tell_containers_pods_and_units),
		cmocka_unit_test(the_path_is_the_one_that_told_most),
		cmocka_unit_test(long_and_many_are_cut),
	};

	return cmocka_run_group_tests_name("cgroup_name", tests, NULL, NULL);
}
