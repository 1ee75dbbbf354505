/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GSYM, the symbol format of LLVM, as its headers in llvm/include/llvm/DebugInfo/GSYM/ say it:
 * Header.h (version 1), HeaderV2.h and GlobalData.h (version 2), FunctionInfo.h, LineTable.h,
 * InlineInfo.h, MergedFunctionsInfo.h. What we write (version 1) and what we read is in
 * docs/FORMATS.md.
 *
 *   header · address offsets · info offsets · files · strings · function infos
 *
 * A file is in the byte order of who wrote it; ours are little-endian.
 */
#ifndef SYMBOLIZER_GSYM_FORMAT_H
#define SYMBOLIZER_GSYM_FORMAT_H

#include "base/base.h"

#define GSYM_MAGIC UINT32_C(0x4753594d) /* "MYSG" in a little-endian file */

enum {
	GSYM_UUID_MAX = 20,
	GSYM_HEADER_SIZE = 48,    /* version 1 */
	GSYM_HEADER_V2_SIZE = 20, /* a list of tables follows */
	GSYM_TABLE_SIZE = 20,     /* one entry of that list: u32 kind, u64 offset, u64 size */
};

/* struct GlobalData, enum GlobalInfoType. */
enum gsym_table {
	GSYM_TABLE_END,
	GSYM_TABLE_ADDRESSES,
	GSYM_TABLE_INFO_OFFSETS,
	GSYM_TABLE_STRINGS,
	GSYM_TABLE_FILES,
	GSYM_TABLE_INFOS,
	GSYM_TABLE_UUID,
	GSYM_TABLES
};

/* What a function info holds: u32 kind, u32 length, bytes; the end has length 0. */
enum gsym_info {
	GSYM_INFO_END,
	GSYM_INFO_LINES,
	GSYM_INFO_INLINES,
	GSYM_INFO_MERGED,
};

/* LineTable.h; from GSYM_LINE_SPECIAL on an opcode is an advance of both address and line. */
enum gsym_line_op {
	GSYM_LINE_END,
	GSYM_LINE_FILE,
	GSYM_LINE_ADDRESS,
	GSYM_LINE_LINE,
	GSYM_LINE_SPECIAL
};

#endif
