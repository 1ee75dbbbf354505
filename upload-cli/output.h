/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UPLOAD_CLI_OUTPUT_H
#define UPLOAD_CLI_OUTPUT_H

#include "base/output.h"

#endif
