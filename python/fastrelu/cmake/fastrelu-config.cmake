# SPDX-License-Identifier: BSD-3-Clause
# find_package(fastrelu CONFIG): the target fastrelu::fastrelu, a static library without Python,
# compiled with the project that finds it (once; it takes a minute or two). Its header is
# <fastrelu/model.h>. Where this file is: python -c 'import fastrelu; print(fastrelu.get_cmake_dir())'
if(NOT TARGET fastrelu::fastrelu)
  set(_fastrelu_core ${CMAKE_CURRENT_LIST_DIR}/core)
  if(NOT EXISTS ${_fastrelu_core})  # a checkout
    get_filename_component(_fastrelu_core ${CMAKE_CURRENT_LIST_DIR}/../../../cpp ABSOLUTE)
  endif()
  get_filename_component(FASTRELU_PUBLIC_HEADERS ${CMAKE_CURRENT_LIST_DIR}/../include ABSOLUTE)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
  endif()
  add_subdirectory(${_fastrelu_core} ${CMAKE_CURRENT_BINARY_DIR}/fastrelu EXCLUDE_FROM_ALL)
  add_library(fastrelu::fastrelu ALIAS fastrelu_core)
  unset(_fastrelu_core)
endif()
