/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0) */
/*
 * The walk up a user stack, one frame a step, by unwind tables where there are any and by frame
 * pointers where not. The same text is compiled into the kernel's program and, natively, into the
 * agent (for stacks that came as a copy) and its tests. Who includes it defines before:
 *
 *   UNWIND_AARCH64   1 or 0
 *   unwind_read(w, address, to, size)      reads the walked thread's memory; 0: read
 *   unwind_mapping_at(w, index)            a slot of the table of mappings; NULL: none
 *   unwind_table_at(w, table)              a table; NULL: none
 *   unwind_slot_at(table, index)           one of its slots; NULL: none
 *
 * Register numbers, the place of the return address and the signal frames are those of the System V
 * ABI for AMD64 (§3.2, §3.4) and of the AAPCS64 (§6), as Linux fills them in
 * (arch/x86/include/asm/sigframe.h, arch/arm64/kernel/signal.c: struct rt_sigframe).
 */
#ifndef BPF_UNWIND_WALK_H
#define BPF_UNWIND_WALK_H

#include "bpf/profile.h"
#include "bpf/unwind.h"

#define UNWIND_INLINE static inline __attribute__((always_inline))

enum {
	UNWIND_MAPPING_STEPS = 16, /* halvings: 65536 mappings */
	UNWIND_ROW_STEPS = 12,	   /* a page has at most one row a byte */
};

/* What of rt_sigframe lies where sp points when the handler has returned. */
#if UNWIND_AARCH64
enum { SIGNAL_FP = 544, SIGNAL_LR = 552, SIGNAL_SP = 560, SIGNAL_IP = 568 };
#define UNWIND_ADDRESS_BITS 0x0000ffffffffffffull /* without pointer authentication */
#else
enum { SIGNAL_FP = 0x78, SIGNAL_SP = 0xa0, SIGNAL_IP = 0xa8 };
#define UNWIND_ADDRESS_BITS (~0ull)
#endif

struct unwind_walk {
	__u64 ip, sp, fp;
	__u64 lr;			    /* aarch64: valid while lr_known */
	__u32 count;			    /* of addresses found */
	__u32 end;			    /* enum profile_end, once the walk is over */
	__u32 first_mapping, mapping_count; /* the process's range of slots */
	__u16 table_steps, frame_pointer_steps;
	__u8 lr_known;
	__u8 doubtful; /* ip comes from a frame that does not lie above the last one */
	struct unwind_mapping at; /* where the last frame was: likely where the next one is */
};

/* Its registers have been taken. Nothing may be left of the walk before, which took the same memory. */
UNWIND_INLINE void unwind_begin(struct unwind_walk *w, __u32 first_mapping, __u32 mapping_count)
{
	w->count = 0;
	w->end = PROFILE_END_DEPTH;
	w->first_mapping = first_mapping;
	w->mapping_count = mapping_count;
	w->table_steps = 0;
	w->frame_pointer_steps = 0;
	w->doubtful = 0;
	w->at.start = 0;
	w->at.end = 0;
}

UNWIND_INLINE int unwind_stop(struct unwind_walk *w, enum profile_end end)
{
	w->end = end;
	return 1;
}

/* Leaves the mapping in w->at. */
UNWIND_INLINE int unwind_find_mapping(struct unwind_walk *w, __u64 pc)
{
	__u32 lo = 0, hi = w->mapping_count;

	if (pc >= w->at.start && pc < w->at.end)
		return 1;
	for (int i = 0; i < UNWIND_MAPPING_STEPS && lo < hi; i++) {
		__u32 mid = (lo + hi) >> 1;
		const struct unwind_mapping *m = unwind_mapping_at(w, w->first_mapping + mid);

		if (!m)
			return 0;
		if (pc < m->start) {
			hi = mid;
		} else if (pc >= m->end) {
			lo = mid + 1;
		} else {
			w->at = *m;
			return 1;
		}
	}
	return 0;
}

/* The row that holds at pc, an offset from the table's base. */
UNWIND_INLINE const struct unwind_row *unwind_find_row(const void *table, __u32 pages, __u64 pc)
{
	__u64 page = pc >> UNWIND_PAGE_SHIFT;
	const struct unwind_page *p;
	__u32 lo, hi;

	if (page >= pages)
		return NULL;
	p = (const struct unwind_page *)unwind_slot_at(table, (__u32)page);
	if (!p)
		return NULL;
	lo = p->first;
	hi = p->end;
	for (int i = 0; i < UNWIND_ROW_STEPS && lo < hi; i++) {
		__u32 mid = lo + ((hi - lo) >> 1);
		const struct unwind_row *r =
			(const struct unwind_row *)unwind_slot_at(table, pages + mid);

		if (!r)
			return NULL;
		if (r->pc <= pc)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	return (const struct unwind_row *)unwind_slot_at(table, pages + lo - 1);
}

/*
 * Each function with a frame pointer leaves { the caller's, the return address } where it points.
 * The outermost has 0 there: by the ABI, _start and thread starts see to it.
 *
 * Frames mostly lie one above the other. Not so where a stack was switched (Go's system stacks), nor
 * where the caller keeps no frame pointers and has something else in the register; so what is found
 * in such a place counts if it is the address of known code.
 */
UNWIND_INLINE int unwind_step_frame_pointer(struct unwind_walk *w)
{
	__u64 saved[2];

	if (w->fp == 0)
		return unwind_stop(w, PROFILE_END_FRAME_POINTER_ROOT);
	if (w->fp & 7)
		return unwind_stop(w, PROFILE_END_FRAME_POINTER);
	w->doubtful = w->fp < w->sp;
	if (unwind_read(w, w->fp, saved, sizeof(saved)))
		return unwind_stop(w, PROFILE_END_FRAME_POINTER);
	saved[1] &= UNWIND_ADDRESS_BITS;
	if (saved[1] == 0)
		return unwind_stop(w, PROFILE_END_FRAME_POINTER_ROOT);
	if (saved[0] && saved[0] <= w->fp)
		w->doubtful = 1;
	w->sp = w->fp + sizeof(saved);
	w->fp = saved[0];
	w->ip = saved[1];
	w->lr_known = 0;
	w->frame_pointer_steps++;
	return 0;
}

/*
 * Callers' addresses are return addresses, one past the call; this one is where the signal struck.
 * It is put one further, so that whoever takes 1 off callers need not know.
 */
UNWIND_INLINE int unwind_step_signal(struct unwind_walk *w)
{
	__u64 sp = w->sp, ip;

	if (unwind_read(w, sp + SIGNAL_IP, &ip, sizeof(ip)) ||
	    unwind_read(w, sp + SIGNAL_SP, &w->sp, sizeof(w->sp)) ||
	    unwind_read(w, sp + SIGNAL_FP, &w->fp, sizeof(w->fp)))
		return unwind_stop(w, PROFILE_END_FAULT);
#if UNWIND_AARCH64
	if (unwind_read(w, sp + SIGNAL_LR, &w->lr, sizeof(w->lr)))
		return unwind_stop(w, PROFILE_END_FAULT);
	w->lr_known = 1;
#endif
	w->ip = ip + 1;
	return 0;
}

/* -1: it cannot be read; 1: there is no rule. */
UNWIND_INLINE int unwind_find_cfa(struct unwind_walk *w, const struct unwind_row *row, __u64 *cfa)
{
	__s64 offset = (__s64)row->cfa_offset8 * 8;

	switch (row->rules & 15) {
	case UNWIND_CFA_SP:
		*cfa = w->sp + offset;
		return 0;
	case UNWIND_CFA_FP:
		*cfa = w->fp + offset;
		return 0;
	case UNWIND_CFA_SP_DEREF:
		return unwind_read(w, w->sp + offset, cfa, sizeof(*cfa)) ? -1 : 0;
	case UNWIND_CFA_FP_DEREF:
		return unwind_read(w, w->fp + offset, cfa, sizeof(*cfa)) ? -1 : 0;
	case UNWIND_CFA_SP_DEREF_8:
		if (unwind_read(w, w->sp + offset, cfa, sizeof(*cfa)))
			return -1;
		*cfa += 8;
		return 0;
	case UNWIND_CFA_PLT:
		*cfa = w->sp + 8 + ((w->ip & 15) >= (__u64)row->cfa_offset8 ? 8 : 0);
		return 0;
	default:
		return 1;
	}
}

#if UNWIND_AARCH64
/* Frame pointer and link register are mostly saved side by side, or not at all. */
UNWIND_INLINE int unwind_restore(struct unwind_walk *w, const struct unwind_row *row, __u64 cfa,
				 __u64 *ip, __u64 *fp)
{
	__u32 rule = row->rules >> 4;
	__u64 at = cfa, saved[2];

	if (rule == UNWIND_SAVED_FP)
		at = w->fp;
	else if (rule == UNWIND_SAVED_SP || rule == UNWIND_SAVED_RA_SP)
		at = w->sp;
	at += (__s64)row->saved_offset8 * 8;
	switch (rule) {
	case UNWIND_SAVED_CFA:
	case UNWIND_SAVED_FP:
	case UNWIND_SAVED_SP:
		if (unwind_read(w, at, saved, sizeof(saved)))
			return -1;
		*fp = saved[0];
		*ip = saved[1];
		return 0;
	case UNWIND_SAVED_CFA_16:
		if (unwind_read(w, at, fp, sizeof(*fp)))
			return -1;
		return unwind_read(w, at + 16, ip, sizeof(*ip)) ? -1 : 0;
	case UNWIND_SAVED_RA:
	case UNWIND_SAVED_RA_SP:
		return unwind_read(w, at, ip, sizeof(*ip)) ? -1 : 0;
	default:
		*ip = w->lr;
		return w->lr_known ? 0 : 1;
	}
}
#else
UNWIND_INLINE int unwind_restore(struct unwind_walk *w, const struct unwind_row *row, __u64 cfa,
				 __u64 *ip, __u64 *fp)
{
	__s64 offset = (__s64)row->saved_offset8 * 8;
	__u32 saved = row->rules >> 4;
	__u64 pair[2];

	// What `push %rbp` leaves: one read for both.
	if (saved == UNWIND_SAVED_CFA && offset == -16) {
		if (unwind_read(w, cfa - 16, pair, sizeof(pair)))
			return -1;
		*fp = pair[0];
		*ip = pair[1];
		return 0;
	}
	if (unwind_read(w, cfa - 8, ip, sizeof(*ip)))
		return -1;
	if (saved == UNWIND_SAVED_CFA)
		return unwind_read(w, cfa + offset, fp, sizeof(*fp)) ? -1 : 0;
	if (saved == UNWIND_SAVED_FP)
		return unwind_read(w, w->fp + offset, fp, sizeof(*fp)) ? -1 : 0;
	if (saved == UNWIND_SAVED_SP)
		return unwind_read(w, w->sp + offset, fp, sizeof(*fp)) ? -1 : 0;
	if (saved == UNWIND_SAVED_LOST)
		*fp = 1; // never a frame's address: who needs it stops there
	return 0;
}
#endif

UNWIND_INLINE int unwind_step_row(struct unwind_walk *w, const struct unwind_row *row)
{
	__u64 cfa, ip = 0, fp = w->fp;
	int r = unwind_find_cfa(w, row, &cfa);

	if (r == 0)
		r = unwind_restore(w, row, cfa, &ip, &fp);
	if (r != 0)
		return unwind_stop(w, r < 0 ? PROFILE_END_FAULT : PROFILE_END_BAD_TABLE);
	// Stacks grow down, so a walk goes up; only a leaf of aarch64 may have no frame at all.
	if (cfa < w->sp || (cfa == w->sp && !w->lr_known))
		return unwind_stop(w, PROFILE_END_BAD_TABLE);
	w->ip = ip & UNWIND_ADDRESS_BITS;
	w->sp = cfa;
	w->fp = fp;
	w->lr_known = 0;
	w->doubtful = 0;
	w->table_steps++;
	return 0;
}

/*
 * Takes w->ip down in ips, which has room for 128, and goes to its caller. 1: the walk is over,
 * w->end says why.
 */
UNWIND_INLINE int unwind_step(struct unwind_walk *w, __u64 *ips)
{
	const struct unwind_row *row;
	const void *table;
	__u64 pc;
	int known;

	if (w->count >= PROFILE_DEPTH)
		return unwind_stop(w, PROFILE_END_DEPTH);
	if (w->ip == 0)
		return unwind_stop(w, PROFILE_END_FRAME_POINTER_ROOT);
	pc = w->ip - (w->count ? 1 : 0);
	known = unwind_find_mapping(w, pc);
	if (!known && w->doubtful)
		return unwind_stop(w, PROFILE_END_FRAME_POINTER);
	ips[w->count & 127] = w->ip;
	w->count++;
	if (!known || w->at.table == UNWIND_NO_TABLE)
		return unwind_step_frame_pointer(w);
	table = unwind_table_at(w, w->at.table);
	row = table ? unwind_find_row(table, w->at.pages, pc - w->at.bias) : NULL;
	if (!row)
		return unwind_step_frame_pointer(w);
	switch (row->rules & 15) {
	case UNWIND_CFA_NONE:
		return unwind_step_frame_pointer(w);
	case UNWIND_CFA_SIGNAL:
		// Nobody called it from before its begin: see unwind_step_signal().
		if (w->count > 1)
			ips[(w->count - 1) & 127] = w->ip + 1;
		return unwind_step_signal(w);
	case UNWIND_CFA_END:
		return unwind_stop(w, PROFILE_END_ROOT);
	default:
		return unwind_step_row(w, row);
	}
}

#endif
