/* SPDX-License-Identifier: Apache-2.0 */
/* For unit tests that compile tests/subjects/shapes.cc: where it is. Header-only. */
#ifndef TESTS_UNIT_SUBJECT_H
#define TESTS_UNIT_SUBJECT_H

#include "tests/unit/toolbox.h"

static char subject[512];

UNUSED static int subject_setup(void **state)
{
	char cwd[256];

	if (toolbox_setup(state) || !getcwd(cwd, sizeof(cwd)))
		return -1;
	snprintf(subject, sizeof(subject), "%s/tests/subjects/shapes.cc", cwd);
	return 0;
}

#endif
