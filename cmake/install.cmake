# cmake --install: headers, libraries and the package that find_package(templora) reads; the program where it is built.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/templora)

get_property(rooms GLOBAL PROPERTY templora_rooms)
set(targets templora_usage templora_library templora_sentencepiece sentencepiece-static)
foreach(room ${rooms})
  set_target_properties(templora_${room} PROPERTIES EXPORT_NAME ${room})
  list(APPEND targets templora_${room})
endforeach()
set_target_properties(templora_usage PROPERTIES EXPORT_NAME usage)
set_target_properties(templora_library PROPERTIES EXPORT_NAME templora)
set_target_properties(templora_sentencepiece PROPERTIES EXPORT_NAME sentencepiece)

# Beside other software a folder of their own: lib/templora/libtemplora_core.a, include/templora/core/error.h.
install(TARGETS ${targets} EXPORT templora-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/templora
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/templora)
install(EXPORT templora-targets NAMESPACE templora:: DESTINATION ${package})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/libtemplora/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/templora
  FILES_MATCHING PATTERN "*.h")

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/templora-config.cmake.in
  ${PROJECT_BINARY_DIR}/templora-config.cmake INSTALL_DESTINATION ${package}
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/templora-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/templora-config.cmake ${PROJECT_BINARY_DIR}/templora-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/torch.cmake ${PROJECT_SOURCE_DIR}/cmake/mkl_symbol.cpp
  ${PROJECT_SOURCE_DIR}/scripts/find_torch.py DESTINATION ${package})

if(TARGET templora)
  # Torch stays where it is: the paths that templora::torch gives the linker are the program's, installed or not.
  set_target_properties(templora PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "")
  install(TARGETS templora RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
