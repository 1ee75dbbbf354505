/* SPDX-License-Identifier: Apache-2.0 */
#include "agent-lite/process/kernel_module_file.h"

#include "agent-lite/process/regular_file.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#include <stdio.h>
#include <sys/utsname.h>

enum {
	NOTES_MAX = 4096,
	SECTION_TEXT_MAX = 64,
	DEP_MAX = 8 << 20,
};

uint64_t kernel_module_section(const struct kernel_paths *paths, const char *name,
			       const char *section)
{
	_cleanup_(buf_deinit) struct buf text = BUF_INIT(SECTION_TEXT_MAX);
	char path[KERNEL_MODULE_PATH_MAX];
	struct str s;
	uint64_t at;
	struct err none;

	snprintf(path, sizeof(path), "%s/%s/sections/%s", paths->sys_module, name, section);
	if (io_read_file(path, &text, &none) < 0)
		return 0;
	s = str_trim(buf_str(&text));
	return str_has_prefix(s, STR("0x")) && str_hex_to_u64(str_skip(s, 2), &at) ? at : 0;
}

static bool same_name(struct str file, struct str name)
{
	if (file.n != name.n)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		if ((file.p[i] == '-' ? '_' : file.p[i]) != name.p[i])
			return false;
	}
	return true;
}

/* "kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko …"; compressed ones end otherwise and are not read. */
bool kernel_module_dep_path(struct str dep, struct str name, struct str *ret)
{
	struct str line, path, file;

	while (dep.n && str_next(&dep, '\n', &line)) {
		if (!str_next(&line, ':', &path) || !str_has_suffix(path, STR(".ko")))
			continue;
		file = str_basename(path);
		file.n -= sizeof(".ko") - 1;
		if (same_name(file, name)) {
			*ret = path;
			return true;
		}
	}
	return false;
}

/* Below ours or, in a container, the first process's root. */
static bool find_path(const struct kernel_paths *paths, const char *name, char *ret, size_t size)
{
	struct utsname kernel;

	uname(&kernel);
	for (size_t i = 0; i < countof(paths->roots) && paths->roots[i]; i++) {
		_cleanup_(buf_deinit) struct buf dep = BUF_INIT(DEP_MAX);
		char path[KERNEL_MODULE_PATH_MAX];
		struct str found;
		struct err none;

		snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.dep", paths->roots[i],
			 kernel.release);
		if (io_read_file(path, &dep, &none) < 0 ||
		    !kernel_module_dep_path(buf_str(&dep), str_from(name), &found))
			continue;
		snprintf(ret, size, "%s/lib/modules/%s/" STR_FMT, paths->roots[i], kernel.release,
			 STR_ARG(found));
		return true;
	}
	return false;
}

static bool read_id(const struct kernel_paths *paths, const char *name, struct build_id *ret)
{
	_cleanup_(buf_deinit) struct buf notes = BUF_INIT(NOTES_MAX);
	char path[KERNEL_MODULE_PATH_MAX];
	struct err none;

	snprintf(path, sizeof(path), "%s/%s/notes/.note.gnu.build-id", paths->sys_module, name);
	return io_read_file(path, &notes, &none) == 0 &&
	       elf_notes_find_id(notes.p, notes.n, 4, ret) && ret->kind == BUILD_ID_GNU;
}

int kernel_module_file_find(const struct kernel_paths *paths, const char *name,
			    struct elf_child *reader, struct kernel_module_file *ret)
{
	struct kernel_module_file f;
	_cleanup_close_ int fd = -1;
	struct elf_ident ident;
	struct err none;

	if (!read_id(paths, name, &f.id) || !find_path(paths, name, f.path, sizeof(f.path)))
		return -1;
	fd = regular_file_open(f.path);
	if (fd < 0 || elf_child_ident(reader, fd, &ident, &none) < 0 ||
	    !build_id_eq(&ident.id, &f.id) || elf_child_code(reader, fd, &f.code, &none) < 0)
		return -1;
	for (size_t i = 0; i < f.code.n; i++)
		f.loaded[i] = kernel_module_section(paths, name, f.code.items[i].name);
	*ret = f;
	return 0;
}
