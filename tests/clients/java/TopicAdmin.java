import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What the admin client does to topics, their partitions, configs and records. */
record TopicAdmin(Cluster cluster) {
  void all(Scenarios scenarios) {
    scenarios.run("admin: topics by name and by id", this::topics);
    scenarios.run("admin: topics that are refused", this::refusedTopics);
    scenarios.run("admin: more partitions", this::partitions);
    scenarios.run("admin: configs of topics and brokers", this::configs);
    scenarios.run("admin: offsets", this::offsets);
    scenarios.run("admin: records are deleted", this::deletedRecords);
  }

  private void topics() throws Exception {
    try (var admin = cluster.admin()) {
      var name = cluster.name("admin");
      var created = admin.createTopics(
          List.of(new NewTopic(name, Map.of(0, List.of(0), 1, List.of(0))).configs(Map.of("retention.ms", "1234567"))));
      Scenarios.equal(2, created.numPartitions(name).get(), "partitions");
      Scenarios.equal(1, created.replicationFactor(name).get(), "replicas");
      Scenarios.equal("1234567", created.config(name).get().get("retention.ms").value(), "retention.ms");
      var id = created.topicId(name).get();
      Scenarios.await("the topic is listed", () -> listed(admin).contains(name));
      var byId = admin.describeTopics(TopicCollection.ofTopicIds(Set.of(id))).topicIdValues().get(id).get();
      Scenarios.equal(name, byId.name(), "name by id");
      Scenarios.equal(2, byId.partitions().size(), "partitions by id");
      Scenarios.equal(id, admin.describeTopics(List.of(name)).topicNameValues().get(name).get().topicId(), "id by name");
      admin.deleteTopics(TopicCollection.ofTopicIds(Set.of(id))).all().get();
      Scenarios.refused(UnknownTopicIdException.class,
          () -> admin.describeTopics(TopicCollection.ofTopicIds(Set.of(id))).allTopicIds().get());
      var again = admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)));
      Scenarios.check(!again.topicId(name).get().equals(id), "the new topic has the old one's id");
      admin.deleteTopics(List.of(name)).all().get();
      Scenarios.await("the topic is gone", () -> !listed(admin).contains(name));
      Scenarios.refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(name)).all().get());
    }
  }

  private static Set<String> listed(Admin admin) {
    try {
      return admin.listTopics().names().get();
    } catch (Exception failure) {
      throw new AssertionError(failure);
    }
  }

  private void refusedTopics() throws Exception {
    var there = cluster.topic("there", 1);
    try (var admin = cluster.admin()) {
      Scenarios.refused(TopicExistsException.class, () -> create(admin, new NewTopic(there, 1, (short) 1)));
      Scenarios.refused(InvalidTopicException.class, () -> create(admin, new NewTopic("no spaces", 1, (short) 1)));
      var name = cluster.name("refused");
      Scenarios.refused(InvalidPartitionsException.class, () -> create(admin, new NewTopic(name, 0, (short) 1)));
      Scenarios.refused(InvalidReplicationFactorException.class, () -> create(admin, new NewTopic(name, 1, (short) 3)));
      var wrong = new NewTopic(name, 1, (short) 1).configs(Map.of("no.such.config", "1"));
      Scenarios.refused(InvalidConfigurationException.class, () -> create(admin, wrong));
      admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
      Scenarios.check(!listed(admin).contains(name), "a topic that was only validated is there");
    }
  }

  private static void create(Admin admin, NewTopic topic) throws Exception {
    admin.createTopics(List.of(topic)).all().get();
  }

  private void partitions() throws Exception {
    var topic = cluster.topic("partitions", 2);
    cluster.fill(topic, 20);
    try (var admin = cluster.admin();
        var producer = cluster.producer(Map.of("metadata.max.age.ms", 300))) {
      admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
      Scenarios.await("the producer knows of four", () -> producer.partitionsFor(topic).size() == 4);
      producer.send(new ProducerRecord<>(topic, 3, "k", "new")).get();
      Scenarios.equal(21, cluster.read(topic, "read_uncommitted").size(), "records");
      Scenarios.refused(InvalidPartitionsException.class,
          () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get());
    }
  }

  private void configs() throws Exception {
    var topic = cluster.topic("configs", 1, Map.of("segment.bytes", "2000000"));
    var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
    try (var admin = cluster.admin()) {
      alter(admin, resource, op("retention.ms", "5000", OpType.SET), op("segment.bytes", "", OpType.DELETE));
      Scenarios.await("retention.ms is set", () -> entry(admin, resource, "retention.ms").value().equals("5000"));
      Scenarios.equal(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry(admin, resource, "retention.ms").source(), "source");
      Scenarios.check(entry(admin, resource, "segment.bytes").isDefault(), "a deleted config is not the default");
      alter(admin, resource, op("cleanup.policy", "compact", OpType.APPEND));
      Scenarios.await("compact is appended", () -> policy(admin, resource).equals(Set.of("delete", "compact")));
      alter(admin, resource, op("cleanup.policy", "delete", OpType.SUBTRACT));
      Scenarios.await("delete is taken away", () -> policy(admin, resource).equals(Set.of("compact")));
      Scenarios.refused(InvalidConfigurationException.class, () -> alter(admin, resource, op("retention.ms", "long", OpType.SET)));
      var broker = new ConfigResource(ConfigResource.Type.BROKER, "0");
      alter(admin, broker, op("log.cleaner.threads", "2", OpType.SET));
      Scenarios.await("the broker has it", () -> entry(admin, broker, "log.cleaner.threads").value().equals("2"));
      alter(admin, broker, op("log.cleaner.threads", "", OpType.DELETE));
      Scenarios.await("the broker has it no more", () -> entry(admin, broker, "log.cleaner.threads").value().equals("1"));
    }
  }

  private static AlterConfigOp op(String name, String value, OpType type) {
    return new AlterConfigOp(new ConfigEntry(name, value), type);
  }

  private static void alter(Admin admin, ConfigResource resource, AlterConfigOp... ops) throws Exception {
    admin.incrementalAlterConfigs(Map.<ConfigResource, Collection<AlterConfigOp>>of(resource, List.of(ops))).all().get();
  }

  private static ConfigEntry entry(Admin admin, ConfigResource resource, String name) {
    try {
      return admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
    } catch (Exception failure) {
      throw new AssertionError(failure);
    }
  }

  private static Set<String> policy(Admin admin, ConfigResource resource) {
    return Set.of(entry(admin, resource, "cleanup.policy").value().split(","));
  }

  private void offsets() throws Exception {
    var topic = cluster.topic("offsets", 1);
    var partition = new TopicPartition(topic, 0);
    var times = List.of(1_700_000_001_000L, 1_700_000_003_000L, 1_700_000_002_000L);
    try (var producer = cluster.producer(Map.of())) {
      for (long time : times) producer.send(new ProducerRecord<>(topic, 0, time, "k", "v")).get();
    }
    try (var admin = cluster.admin()) {
      var specs = Map.of(
          OffsetSpec.earliest(), 0L, OffsetSpec.latest(), 3L, OffsetSpec.maxTimestamp(), 1L,
          OffsetSpec.forTimestamp(1_700_000_001_500L), 1L, OffsetSpec.forTimestamp(1_700_000_009_000L), -1L,
          OffsetSpec.earliestLocal(), 0L);
      for (var spec : specs.entrySet()) {
        var found = admin.listOffsets(Map.of(partition, spec.getKey())).partitionResult(partition).get().offset();
        Scenarios.equal(spec.getValue(), found, spec.getKey().getClass().getSimpleName());
      }
    }
  }

  private void deletedRecords() throws Exception {
    var topic = cluster.topic("deleted", 1);
    var partition = new TopicPartition(topic, 0);
    cluster.fill(topic, 50);
    try (var admin = cluster.admin()) {
      var low = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(20))).lowWatermarks().get(partition).get();
      Scenarios.equal(20L, low.lowWatermark(), "low watermark");
      Scenarios.equal(30, cluster.read(topic, "read_uncommitted").size(), "records left");
      Scenarios.refused(OffsetOutOfRangeException.class,
          () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(51))).all().get());
      admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).all().get();
      Scenarios.equal(List.of(), cluster.read(topic, "read_uncommitted"), "records left");
    }
  }
}
