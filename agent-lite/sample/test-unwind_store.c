/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's side sees of tables and processes: read back through the maps, which only a
 * privileged process can make.
 */
#include "agent-lite/sample/unwind_store.h"

#include "agent-lite/elf/testing.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>

enum { PID = 4711 };

static struct unwind_maps maps = {-1, -1, -1};
static struct unwind_store *store;
static struct process_listener listener;
static struct module *module;
static bool permitted;

static int make_maps(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, inner, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	LIBBPF_OPTS(bpf_map_create_opts, shared, .map_flags = BPF_F_MMAPABLE);
	_cleanup_close_ int like = bpf_map_create(BPF_MAP_TYPE_ARRAY, "like", 4, 8, 1, &inner);
	LIBBPF_OPTS(bpf_map_create_opts, outer, .inner_map_fd = (uint32_t)like);

	if (like < 0)
		return -1;
	maps.processes = bpf_map_create(BPF_MAP_TYPE_HASH, "processes", 4,
					sizeof(struct unwind_process), 64, NULL);
	maps.mappings = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mappings", 4,
				       sizeof(struct unwind_mapping), UNWIND_MAPPINGS_MAX, &shared);
	maps.tables = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "tables", 4, 4, UNWIND_TABLES_MAX,
				     &outer);
	return maps.processes < 0 || maps.mappings < 0 || maps.tables < 0 ? -1 : 0;
}

static int setup(void **state)
{
	const struct elf_ident ident = {
		.id = {.kind = BUILD_ID_GNU, .size = 4},
		.load_count = 1,
		.loads = {{.vaddr = 0x1000, .filesz = 0x9000, .memsz = 0x9000, .flags = 5}},
	};
	struct err e = ERR_INIT;

	(void)state;
	permitted = make_maps() == 0;
	if (!permitted)
		return 0;
	assert_ok(unwind_store_new(&maps, &store, &e));
	listener = unwind_store_listener(store);
	module = module_new("/bin/x", &ident);
	return module ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	if (!permitted)
		return 0;
	module = module_unref(module);
	unwind_store_free(store);
	close(maps.processes);
	close(maps.mappings);
	close(maps.tables);
	return 0;
}

static void need_bpf(void)
{
	if (permitted)
		return;
	print_message("skip: BPF maps cannot be made here: %s\n", strerror(errno));
	skip();
}

static struct unwind_store_stats stats(void)
{
	struct unwind_store_stats s;

	unwind_store_stats(store, &s);
	return s;
}

static bool add_table(struct module *m)
{
	static const uint64_t slots[] = {0x1122, 0x3344, 0x5566};
	const struct unwind_table t = {.base = 0x1000, .pages = 1, .rows = 2};

	return unwind_store_add(store, m, &t, slots);
}

static bool is_published(uint32_t pid, struct unwind_process *ret)
{
	return bpf_map_lookup_elem(maps.processes, &pid, ret) == 0;
}

static struct unwind_mapping mapping_at(uint32_t index)
{
	struct unwind_mapping m;

	assert_int_equal(bpf_map_lookup_elem(maps.mappings, &index, &m), 0);
	return m;
}

static struct mapping items[] = {
	{.start = 0x7f0000001000, .end = 0x7f0000005000, .offset = 0x1000},
	{.start = 0x7f0000008000, .end = 0x7f0000009000, .kind = MAPPING_ANON},
};

static struct process make_process(uint64_t start_ns)
{
	items[0].module = module;
	return (struct process){.key = {.pid = PID, .start_ns = start_ns, .exec_id = 7},
				.mappings = {.items = items, .n = countof(items)}};
}

static void a_table_lives_as_long_as_its_module(void **state)
{
	struct module *m;
	const uint64_t *slots;
	size_t n;

	(void)state;
	need_bpf();
	m = module_new("/bin/y", NULL);
	assert_true(add_table(m));
	assert_int_equal(stats().tables, 1);
	assert_int_equal(stats().slots, 3);
	slots = unwind_store_table(store, m->unwind.table, &n);
	assert_int_equal(n, 3);
	assert_int_equal(slots[2], 0x5566);
	unwind_store_tick(store); // it is let go of, and comes again
	assert_int_equal(unwind_store_table(store, m->unwind.table, &n)[1], 0x3344);
	module_unref(m);
	assert_int_equal(stats().tables, 0);
	assert_int_equal(stats().slots, 0);
}

static void a_file_without_rows_takes_no_table(void **state)
{
	const struct unwind_table none = {.pages = 1};
	const uint64_t slot = 0;

	(void)state;
	need_bpf();
	assert_true(unwind_store_add(store, module, &none, &slot));
	assert_null(module->unwind.release);
}

static void mappings_are_published_with_their_tables(void **state)
{
	struct process p = make_process(100);
	struct unwind_process entry;
	struct unwind_mapping m;

	(void)state;
	need_bpf();
	assert_true(add_table(module));
	listener.changed(listener.ctx, &p);
	assert_true(is_published(PID, &entry));
	assert_int_equal(entry.start_ns, 100);
	assert_int_equal(entry.exec_id, 7);
	assert_int_equal(entry.mapping_count, 2);
	m = mapping_at(entry.first_mapping);
	assert_int_equal(m.start, 0x7f0000001000);
	// Offset 0x1000 of the file is address 0x2000, one page behind the table's base.
	assert_int_equal(m.bias, 0x7f0000000000);
	assert_int_equal(m.table, module->unwind.table);
	assert_int_equal(mapping_at(entry.first_mapping + 1).table, UNWIND_NO_TABLE);
	listener.forgotten(listener.ctx, &p);
	assert_false(is_published(PID, &entry));
	assert_int_equal(stats().processes, 0);
}

/* The kernel is told of changes later than they happen, and walks by what it was told meanwhile. */
static void a_table_stays_while_the_kernel_is_led_to_it(void **state)
{
	struct process p = make_process(100);
	struct module *old, *new;
	struct unwind_process entry;
	uint32_t index;
	const uint64_t *slots;
	size_t n;

	(void)state;
	need_bpf();
	old = module_new("/bin/old", &module->ident);
	new = module_new("/bin/new", NULL);
	add_table(old);
	index = old->unwind.table;
	items[0].module = old;
	listener.changed(listener.ctx, &p);
	items[0].module = module;
	module_unref(old); // the mapping was replaced; the process has not been told of yet
	slots = unwind_store_table(store, index, &n);
	assert_non_null(slots);
	assert_int_equal(slots[2], 0x5566);
	add_table(new);
	assert_int_not_equal(new->unwind.table, index);
	listener.changed(listener.ctx, &p); // now it is
	assert_true(is_published(PID, &entry));
	assert_int_not_equal(mapping_at(entry.first_mapping).table, index);
	assert_null(unwind_store_table(store, index, &n));
	listener.forgotten(listener.ctx, &p);
	module_unref(new);
}

static void what_did_not_change_is_not_written_again(void **state)
{
	struct process p = make_process(100);
	struct unwind_process first, second;

	(void)state;
	need_bpf();
	listener.changed(listener.ctx, &p);
	assert_true(is_published(PID, &first));
	listener.changed(listener.ctx, &p);
	assert_true(is_published(PID, &second));
	assert_int_equal(first.first_mapping, second.first_mapping);
	p.mappings.n = 1;
	listener.changed(listener.ctx, &p);
	assert_true(is_published(PID, &second));
	assert_int_not_equal(first.first_mapping, second.first_mapping); // the old may be in use
	listener.forgotten(listener.ctx, &p);
}

static void a_reused_pid_keeps_its_new_entry(void **state)
{
	struct process old = make_process(100), new = make_process(200);
	struct unwind_process entry;

	(void)state;
	need_bpf();
	listener.changed(listener.ctx, &old);
	listener.changed(listener.ctx, &new);
	listener.forgotten(listener.ctx, &old);
	assert_true(is_published(PID, &entry));
	assert_int_equal(entry.start_ns, 200);
	listener.forgotten(listener.ctx, &new);
}

static void too_many_processes_are_counted(void **state)
{
	enum { PROCESSES = 66 }; // the map takes 64
	static struct process all[PROCESSES];
	struct unwind_process entry;

	(void)state;
	need_bpf();
	for (uint32_t i = 0; i < PROCESSES; i++) {
		all[i] = make_process(100);
		all[i].key.pid = 1000 + i;
		listener.changed(listener.ctx, &all[i]);
	}
	assert_int_equal(stats().processes, 64);
	assert_int_equal(stats().processes_refused, 2);
	assert_false(is_published(1000 + PROCESSES - 1, &entry));
	for (uint32_t i = 0; i < PROCESSES; i++)
		listener.forgotten(listener.ctx, &all[i]);
	assert_int_equal(stats().processes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_lives_as_long_as_its_module),
		cmocka_unit_test(a_file_without_rows_takes_no_table),
		cmocka_unit_test(mappings_are_published_with_their_tables),
		cmocka_unit_test(a_table_stays_while_the_kernel_is_led_to_it),
		cmocka_unit_test(what_did_not_change_is_not_written_again),
		cmocka_unit_test(a_reused_pid_keeps_its_new_entry),
		cmocka_unit_test(too_many_processes_are_counted),
	};

	return cmocka_run_group_tests_name("unwind_store", tests, setup, teardown);
}
