/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolizer/indexer/debug_dir.h"

#include "base/cleanup.h"
#include "base/compress.h"
#include "base/io.h"
#include "symbolizer/indexer/elf_image.h"
#include "symbolizer/indexer/input_file.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

enum { PATH_SIZE = 4096, NAME_SIZE = 256, CHUNK_BYTES = 64 * 1024 };

// What the forked reader sends back; fixed size, so that one read gets it all.
struct links {
	struct err problem; // kind ERR_NONE: the rest counts
	struct build_id gnu;
	struct build_id alt;
	bool has_gnu;
	bool has_alt;
	bool has_dwarf;
	uint32_t crc;
	char link[NAME_SIZE]; // empty: none
	char dwz[NAME_SIZE];  // where the shared file is below DIR/.dwz/; empty: it does not say
};

static void copy_name(struct str name, char out[static NAME_SIZE])
{
	if (name.n < NAME_SIZE) {
		memcpy(out, name.p, name.n);
		out[name.n] = '\0';
	}
}

// "../../.dwz/x86_64-linux-gnu/gdb.debug": what counts is behind the folder for such files.
static struct str below_dwz(struct str path)
{
	static const char folder[] = ".dwz/";
	const char *at = memmem(path.p, path.n, folder, strlen(folder));

	return at ? str_skip(path, (size_t)(at - path.p) + strlen(folder)) : STR_EMPTY;
}

static void read_links(int fd, const char *name, struct links *ret)
{
	struct elf_image img;
	struct str text;

	if (elf_image_open(&img, fd, name, &ret->problem))
		return;
	for (size_t i = 0; i < img.id_count; i++) {
		if (img.ids[i].kind != BUILD_ID_GNU)
			continue;
		ret->gnu = img.ids[i];
		ret->has_gnu = true;
	}
	if (elf_image_debuglink(&img, &text, &ret->crc))
		copy_name(text, ret->link);
	ret->has_dwarf = elf_image_has(&img, ".debug_info");
	ret->has_alt = elf_image_altlink(&img, &text, &ret->alt);
	if (ret->has_alt)
		copy_name(below_dwz(text), ret->dwz);
	elf_image_close(&img);
}

static NORETURN void reader(const struct sandbox_limits *limits, int fd, const char *name, int out)
{
	static struct links links;
	struct sandbox_state state;

	if (sandbox_enter(limits, &state, &links.problem) == 0)
		read_links(fd, name, &links);
	_exit(io_write_all(out, &links, sizeof(links), NULL) ? 1 : 0);
}

static int receive(int pipe_fd, struct links *ret, const char *name, struct err *e)
{
	size_t have = 0;

	while (have < sizeof(*ret)) {
		ssize_t n = read(pipe_fd, (char *)ret + have, sizeof(*ret) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, ERR_INDEXER_CRASHED, "%s: the process that read it died", name);
		have += (size_t)n;
	}
	return 0;
}

static bool leads_upwards(const char *path)
{
	struct str rest = str_from(path);
	struct str part;

	while (str_next(&rest, '/', &part))
		if (str_is(part, ".."))
			return true;
	return false;
}

// The reader was taken over, for all we know: nothing it sends may lead outside the folders given.
static int check_links(struct links *l, struct err *e)
{
	l->link[NAME_SIZE - 1] = '\0';
	l->problem.msg[sizeof(l->problem.msg) - 1] = '\0';
	if (l->problem.kind)
		return err_set(e, l->problem.kind < ERR_KIND_COUNT ? l->problem.kind : ERR_INTERNAL, "%s",
			       l->problem.msg);
	if (strchr(l->link, '/') || strcmp(l->link, "..") == 0)
		l->link[0] = '\0';
	l->dwz[NAME_SIZE - 1] = '\0';
	if (leads_upwards(l->dwz))
		l->dwz[0] = '\0';
	l->gnu.kind = l->alt.kind = BUILD_ID_GNU;
	l->gnu.size = (uint8_t)MIN(l->gnu.size, (int)BUILD_ID_MAX);
	l->alt.size = (uint8_t)MIN(l->alt.size, (int)BUILD_ID_MAX);
	return 0;
}

static int fetch_links(const struct debug_wanted *w, int fd, const char *name, struct links *ret,
		       struct err *e)
{
	_cleanup_close_ int from = -1;
	int ends[2];
	pid_t child;
	int rc;

	if (pipe(ends))
		return err_sys(e, errno, "pipe");
	from = ends[0];
	child = fork();
	if (child == 0)
		reader(w->limits, fd, name, ends[1]);
	close(ends[1]);
	if (child < 0)
		return err_sys(e, errno, "fork");
	rc = receive(from, ret, name, e);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return rc ? -1 : check_links(ret, e);
}

// 1 where the file is there and is not the binary itself.
static int try_open(const char *path, int not_fd, int *ret_fd)
{
	int fd = io_open_read(path, NULL);

	if (fd < 0)
		return 0;
	if (input_file_same(not_fd, fd)) {
		close(fd);
		return 0;
	}
	*ret_fd = fd;
	return 1;
}

static int try_build_id(const struct debug_wanted *w, const struct build_id *id, int not_fd, int *ret_fd,
			char out[static PATH_SIZE])
{
	char hex[BUILD_ID_TEXT];

	build_id_text(id, hex);
	if (id->size < 2)
		return 0;
	for (size_t i = 0; i < w->dirs->n; i++) {
		snprintf(out, PATH_SIZE, "%s/.build-id/%.2s/%s.debug", w->dirs->items[i], hex, hex + 2);
		if (try_open(out, not_fd, ret_fd))
			return 1;
	}
	return 0;
}

static bool has_crc(int fd, uint32_t crc)
{
	char chunk[CHUNK_BYTES];
	uint32_t sum = 0;
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		sum = crc32_update(sum, (struct str){chunk, (size_t)n});
		at += n;
	}
	return n == 0 && sum == crc;
}

// "DIR/SUB/NAME" with the checksum that the link tells.
static int try_linked(const struct links *l, const char *dir, struct str sub, int not_fd, int *ret_fd,
		      char out[static PATH_SIZE])
{
	int n = snprintf(out, PATH_SIZE, "%s" STR_FMT "/%s", dir, STR_ARG(sub), l->link);
	int fd;

	if (n < 0 || n >= PATH_SIZE || !try_open(out, not_fd, &fd))
		return 0;
	if (!has_crc(fd, l->crc)) {
		close(fd);
		return 0;
	}
	*ret_fd = fd;
	return 1;
}

struct link_search {
	const struct debug_wanted *wanted;
	const struct links *links;
	int not_fd;
};

static int try_around(const struct link_search *q, const char *path, int *ret_fd, char out[static PATH_SIZE])
{
	const char *slash = strrchr(path, '/');
	struct str dir = slash ? (struct str){path, (size_t)(slash - path)} : STR(".");
	const struct opt_list *dirs = q->wanted->dirs;
	char hidden[PATH_SIZE];

	snprintf(hidden, sizeof(hidden), STR_FMT "/.debug", STR_ARG(dir));
	if (try_linked(q->links, "", dir, q->not_fd, ret_fd, out) ||
	    try_linked(q->links, hidden, STR_EMPTY, q->not_fd, ret_fd, out))
		return 1;
	for (size_t i = 0; i < dirs->n; i++)
		if ((path[0] == '/' && try_linked(q->links, dirs->items[i], dir, q->not_fd, ret_fd, out)) ||
		    try_linked(q->links, dirs->items[i], STR_EMPTY, q->not_fd, ret_fd, out))
			return 1;
	return 0;
}

// Where the binary is called so, then where it really lies: links lead to binaries from elsewhere.
static int try_link(const struct link_search *q, const char *name, int *ret_fd, char out[static PATH_SIZE])
{
	_cleanup_free_ char *real = realpath(name, NULL);

	return try_around(q, name, ret_fd, out) ||
	       (real && strcmp(real, name) != 0 && try_around(q, real, ret_fd, out));
}

int debug_dir_find(const struct debug_wanted *w, int fd, const char *name, int *ret_fd,
		   char out[static 4096], struct err *e)
{
	struct links links;

	if (fetch_links(w, fd, name, &links, e))
		return -1;
	if (links.has_dwarf)
		return DEBUG_DIR_NOT_NEEDED;
	if (links.has_gnu && try_build_id(w, &links.gnu, fd, ret_fd, out))
		return DEBUG_DIR_FOUND;
	return links.link[0] ? try_link(&(struct link_search){w, &links, fd}, name, ret_fd, out) : 0;
}

// Has the open file the build-ID that is wanted?
static bool is_build(const struct debug_wanted *w, int fd, const char *path, const struct build_id *id)
{
	struct links links;
	struct err ignored = ERR_INIT;

	return fetch_links(w, fd, path, &links, &ignored) == 0 && links.has_gnu && build_id_eq(&links.gnu, id);
}

static int try_dwz(const struct debug_wanted *w, const struct links *l, int not_fd, int *ret_fd,
		   char out[static PATH_SIZE])
{
	for (size_t i = 0; i < w->dirs->n && l->dwz[0]; i++) {
		int fd;

		snprintf(out, PATH_SIZE, "%s/.dwz/%s", w->dirs->items[i], l->dwz);
		if (!try_open(out, not_fd, &fd))
			continue;
		if (is_build(w, fd, out, &l->alt)) {
			*ret_fd = fd;
			return 1;
		}
		close(fd);
	}
	return 0;
}

int debug_dir_find_alt(const struct debug_wanted *w, int fd, const char *name, int *ret_fd,
		       char out[static 4096], struct err *e)
{
	struct links links;

	if (fetch_links(w, fd, name, &links, e))
		return -1;
	return links.has_alt && (try_build_id(w, &links.alt, fd, ret_fd, out) || try_dwz(w, &links, fd, ret_fd, out));
}
